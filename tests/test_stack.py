"""The whole way with real processes, a real RabbitMQ of these tests' own and a real PostgreSQL.

What is asserted at the end of each fault is the same: the knowledge base equals the source, and the statistics count
every applied change exactly once.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.story import next_step, populate
from integrations.clickup.webhook import EVENTS, sign
from integrations.sealing import Keyring
from schema.postgres import Database
from tests import source
from tests.conftest import SAMPLES, Connected, connect, sample, until
from tests.services.rabbitmq import RabbitMQServer, find_rabbitmq
from tests.source import Source
from tests.stack import Stack

TOKEN = "pk_test_of_the_stack"
SETTLE_SECONDS = 60.0
CONSUMERS = ("knowledge", "sync-state", "journal")
DELETIONS = ("space-deleted", "goal-deleted")


@pytest.fixture(scope="module")
async def broker() -> AsyncIterator[RabbitMQServer]:
    """A broker that these tests may kill; each leaves it serving."""
    server = await asyncio.to_thread(find_rabbitmq)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.close)


@pytest.fixture
async def clickup() -> AsyncIterator[Source]:
    async with Source().serving() as running:
        running.answers = source.story()
        yield running


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A workspace whose deliveries come twice at times, and out of order."""
    one = Simulator(seed=11, token=TOKEN, faults=Faults(duplicate_rate=0.2, shuffle_window=6), backoff=(0.2, 0.5, 1, 2))
    yield one
    await one.close(grace=1)


async def started(
    tmp_path: Path, broker: RabbitMQServer, database_url: str, clickup_url: str, *, knowledge: int = 1
) -> Stack:
    """Ingest and every consumer as processes."""
    stack = Stack(tmp_path, amqp_url=broker.url, database_url=database_url, clickup_url=clickup_url)
    stack.start("ingest")
    for name in (*["knowledge"] * knowledge, "sync-state", "journal"):
        stack.start("consume", name)
    await stack.ready()
    return stack


async def deliver(stack: Stack, connected: Connected, bodies: Sequence[bytes]) -> list[str]:
    """Post signed bodies one after the other; the ids they were accepted under."""
    ids = []
    async with httpx.AsyncClient(timeout=7) as http:
        for body in bodies:
            url = f"{stack.url}/webhooks/clickup/{connected.id}"
            answer = await http.post(url, content=body, headers={"x-signature": sign(connected.secret, body)})
            assert answer.status_code == 200
            ids.append(answer.json()["event_id"])
    return ids


async def settled(sql: Any, broker: RabbitMQServer, ids: Sequence[str] = ()) -> None:
    """Wait until everything accepted is journaled and every queue and the outbox are empty."""

    async def done() -> bool:
        if await sql.fetchval("SELECT count(DISTINCT event_id) FROM kb.journal") < len(set(ids)):
            return False
        if await sql.fetchval("SELECT count(*) FROM kb.outbox"):
            return False
        lengths = await asyncio.to_thread(broker.queue_lengths)
        return not any(length for name, length in lengths.items() if not name.endswith(".dead"))

    await until(done, within=SETTLE_SECONDS)


async def outline(sql: Any) -> tuple[Any, ...]:
    """Rows and statistics, without the times at which we happened to learn things."""
    objects = await sql.fetch(
        "SELECT external_type, external_id, type, external_parent_id, external_updated_at, external_url, title, body,"
        " status, labels, properties, version, action, deleted_at IS NULL, deleted_because"
        " FROM kb.objects ORDER BY 1, 2"
    )
    edges = await sql.fetch("SELECT src_id, dst_id, type FROM kb.relationships ORDER BY 3, 1, 2")
    state = await sql.fetch(
        "SELECT sync_cursor, total_synced_tasks, total_synced_lists, total_synced_spaces, consecutive_failures"
        " FROM kb.clickup_sync_state"
    )
    return tuple(map(tuple, objects)), len(edges), tuple(map(tuple, state))


COUNTED = """
    SELECT s.total_synced_tasks AS tasks, s.total_synced_lists AS lists, s.total_synced_spaces AS spaces,
        (SELECT coalesce(sum(version), 0)::int FROM kb.objects WHERE external_type = 'task') AS task_versions,
        (SELECT coalesce(sum(version), 0)::int FROM kb.objects WHERE external_type = 'list') AS list_versions,
        (SELECT coalesce(sum(version), 0)::int FROM kb.objects WHERE external_type = 'space') AS space_versions
    FROM kb.clickup_sync_state s
"""


async def counted_once(sql: Any) -> None:
    """The statistics become exactly the changes that the rows have seen, and stay so."""

    async def equal() -> bool:
        row = tuple(await sql.fetchrow(COUNTED))
        return row[:3] == row[3:]

    await until(equal, within=SETTLE_SECONDS)
    await asyncio.sleep(0.5)
    assert await equal()


async def equals(simulator: Simulator, sql: Any) -> bool:
    """Whether the living rows are the workspace."""
    rows = await sql.fetch("SELECT external_type, external_id, title, status FROM kb.objects WHERE deleted_at IS NULL")
    found = {(row["external_type"], row["external_id"]): (row["title"], row["status"]) for row in rows}
    workspace = simulator.workspace
    expected: dict[tuple[str, str], tuple[str, str | None]] = {
        ("task", task.id): (task.name, task.status.name) for task in workspace.tasks.values()
    }
    for kind, things in (("space", workspace.spaces), ("list", workspace.lists)):
        expected |= {(kind, one.id): (one.name, None) for one in things.values()}
    folders = {one.id for one in workspace.folders.values() if not one.hidden}
    return (
        {key: value for key, value in found.items() if key[0] in ("task", "space", "list")} == expected
        and {id_ for kind, id_ in found if kind == "folder"} == folders
        and {id_ for kind, id_ in found if kind == "comment"} >= {
            comment.id for comment in workspace.comments.values()
        }
    )  # fmt: skip


async def test_all_samples_end_as_the_right_rows(
    tmp_path: Path, broker: RabbitMQServer, database_url: str, connected: Connected, clickup: Source, sql: Any
) -> None:
    """Every event that ClickUp has, delivered by `kb-ingest send`: what lives in the source has its row, with all its
    facts; what was deleted is a tombstone; what says nothing we know is in quarantine with its reason.
    """
    stack = await started(tmp_path, broker, database_url, clickup.url)
    try:
        names = [path.stem for path in SAMPLES.glob("*.json") if path.stem not in DELETIONS]
        sent = await stack.json("send", *names, "--integration", str(connected.id))
        assert {answer["status"] for answer in sent} == {200}
        await settled(sql, broker, [answer["answer"] for answer in sent])
        rows = {(row["external_type"], row["external_id"]): row for row in await sql.fetch("SELECT * FROM kb.objects")}
        living = {key: row for key, row in rows.items() if row["deleted_at"] is None}
        assert {(kind, id_, living[kind, id_]["type"]) for kind, id_ in living} == {
            ("workspace", source.TEAM, "organization"),
            ("space", source.SPACE, "project"),
            ("list", source.LIST, "collection"),
            ("task", source.TASK, "task"),
            ("comment", source.COMMENT, "comment"),
            ("goal", source.GOAL, "goal"),
        }
        assert {(kind, id_) for kind, id_ in rows} - living.keys() == {
            ("task", "868cq4n7k"),
            ("list", source.OLD_LIST),
            ("folder", source.FOLDER),
            ("key_result", source.KEY_RESULT),
        }
        task = living["task", source.TASK]
        assert (task["title"], task["status"], task["labels"]) == (
            "Write the incident playbook: für alle 📘",
            "in progress",
            ["runbook"],
        )
        assert task["body"] == "## Steps\n\n## Checklists\n### Before\n- [x] call"
        assert (task["org_id"], task["project_id"]) == (connected.org_id, connected.project_id)
        assert task["external_parent_id"] == source.LIST
        assert living["list", source.LIST]["external_parent_id"] == source.SPACE
        assert {row["type"] for row in await sql.fetch("SELECT type FROM kb.relationships")} == {
            "parent_of",
            "in_list",
            "assigned_to",
            "comment_on",
        }
        await counted_once(sql)
        state = await sql.fetchrow("SELECT * FROM kb.clickup_sync_state")
        assert state["sync_cursor"] == "1773569553977"
        assert all(state[f"last_{kind}_sync_at"] for kind in ("workspace", "space", "folder", "list", "task"))
        assert (await asyncio.to_thread(broker.queue_lengths))["kb.knowledge.dead"] == 2
        listed = await stack.json("events", "list", "--limit", "100")
        assert {event["type"] for event in listed} == {
            *(f"clickup.{entity}.{action}" for entity, action in EVENTS.values()),
            "clickup.unrecognized",
        } - {"clickup.space.deleted", "clickup.goal.deleted"}
    finally:
        await stack.end()
        await asyncio.to_thread(broker.ctl, "purge_queue", "kb.knowledge.dead")


@pytest.mark.parametrize("ending", ["it lives", "all is deleted"])
async def test_repeated_and_shuffled_deliveries_leave_the_same(
    ending: str, tmp_path: Path, broker: RabbitMQServer, database_url: str, database: Database, keyring: Keyring,
    clickup: Source, sql: Any,
) -> None:  # fmt: skip
    """Each sample once in order, or five times in any order: the same rows, versions, edges and statistics."""
    names = sorted(path.stem for path in SAMPLES.glob("*.json") if not path.stem.startswith("automation"))
    if ending == "it lives":
        names = [name for name in names if name not in DELETIONS]
    else:  # nothing of it can be read any more, so the comment is what its events say; an edit heard before its post
        # is one change where post and edit are two, hence without the edit
        names.remove("task-comment-updated")
        clickup.answers = {path: answer for path, answer in clickup.answers.items() if path in ("user", "team")}
    bodies = [sample(name) for name in names]
    stack = await started(tmp_path, broker, database_url, clickup.url, knowledge=2)
    results = []
    try:
        for seed in (None, 1, 2):
            one = await connect(database, keyring)
            await until(lambda one=one: _heard(stack, one))  # type: ignore[misc]
            order = bodies if seed is None else bodies * 5
            if seed is not None:
                random.Random(seed).shuffle(order)  # noqa: S311  the same order each time
            await settled(sql, broker, await deliver(stack, one, order))
            await counted_once(sql)
            objects, edges, state = await outline(sql)
            results.append((objects, edges, state[0][1:]))
            await database.execute("integration_delete", one.id, None)
        assert results[0] == results[1] == results[2]
    finally:
        await stack.end()


async def _heard(stack: Stack, connected: Connected) -> bool:
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{stack.url}/webhooks/clickup/{connected.id}", content=b"")
        return answer.status_code == 403


async def live(simulator: Simulator, steps: int, *, seed: int) -> None:
    """So many edits, delivered as fast as ingest takes them."""
    chance = random.Random(seed)  # noqa: S311  a story
    for _ in range(steps):
        await simulator.apply(next_step(simulator.workspace, chance))
        await asyncio.sleep(0.01)


async def follow(stack: Stack, simulator: Simulator, database: Database, keyring: Keyring) -> Connected:
    """Connect the simulated workspace."""
    one = await connect(database, keyring, token=TOKEN, workspace_id=simulator.workspace.team_id)
    hook = simulator.register_webhook(f"{stack.url}/webhooks/clickup/{one.id}")
    await database.execute("integration_enable", one.id, True)
    id_ = uuid4()
    sealed = keyring.seal(hook.secret.encode(), row=f"webhook_secrets/{id_}")
    await database.execute("webhook_secret_add", id_, one.id, hook.id, sealed)
    return one


@pytest.mark.timeout(240)
async def test_a_consumer_killed_in_mid_batch_loses_and_doubles_nothing(
    tmp_path: Path, broker: RabbitMQServer, database_url: str, database: Database, keyring: Keyring,
    simulator: Simulator, sql: Any,
) -> None:  # fmt: skip
    """`kill -9` of either `knowledge` replica and of `sync-state` under load: the knowledge base equals the workspace,
    and every change is counted once.
    """
    async with simulator.serving() as api:
        stack = await started(tmp_path, broker, database_url, api)
        try:
            victims = [(name, stack.start("consume", name)) for name in ("knowledge", "knowledge", "sync-state")]
            await follow(stack, simulator, database, keyring)
            await simulator.apply(populate(simulator.workspace))
            story = asyncio.create_task(live(simulator, 250, seed=3))
            for name, victim in victims:
                await asyncio.sleep(1.5)
                victim.send_signal(signal.SIGKILL)
                stack.start("consume", name)
            await story
            await simulator.deliveries.drain()
            await settled(sql, broker)
            await until(lambda: equals(simulator, sql), within=SETTLE_SECONDS)
            await counted_once(sql)
            assert simulator.deliveries.outcomes["lost"] == 0
        finally:
            await stack.end()


@pytest.mark.timeout(240)
async def test_a_broker_restart_in_mid_stream_loses_nothing(
    tmp_path: Path, broker: RabbitMQServer, database_url: str, database: Database, keyring: Keyring,
    simulator: Simulator, sql: Any,
) -> None:  # fmt: skip
    """RabbitMQ killed and restarted under load: every delivery is answered 200 meanwhile, everything resumes without
    a restart of ours, and nothing is lost.
    """
    async with simulator.serving() as api:
        stack = await started(tmp_path, broker, database_url, api)
        try:
            await follow(stack, simulator, database, keyring)
            await simulator.apply(populate(simulator.workspace))
            story = asyncio.create_task(live(simulator, 250, seed=4))
            await asyncio.sleep(1)
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(2)
            await asyncio.to_thread(broker.start)
            await story
            await simulator.deliveries.drain()
            await settled(sql, broker)
            await until(lambda: equals(simulator, sql), within=SETTLE_SECONDS)
            await counted_once(sql)
            assert simulator.deliveries.outcomes["lost"] == 0
            assert simulator.deliveries.answers.keys() == {"200"}
            assert any(line.get("stored_by") == "spool" for line in stack.logs("event.received"))
        finally:
            await stack.end()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_programs_stop_when_told(
    tmp_path: Path, broker: RabbitMQServer, database_url: str, connected: Connected, clickup: Source, workers: str
) -> None:
    """SIGTERM ends every program with exit code 0 within ten seconds, ingest with several workers too."""
    stack = Stack(tmp_path, amqp_url=broker.url, database_url=database_url, clickup_url=clickup.url)
    processes = [stack.start("ingest", "--workers", workers), stack.start("consume", *CONSUMERS)]
    try:
        await stack.ready()
        await until(lambda: _heard(stack, connected))
        await deliver(stack, connected, [sample("task-created")] * 10)
        await until(lambda: len(stack.logs("consumer.started")) == 3)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        codes = [await asyncio.to_thread(process.wait, 10) for process in processes]
        assert codes == [0, 0]
    finally:
        await stack.end()
