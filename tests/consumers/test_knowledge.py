"""The consumer `knowledge` on a real database: what is written at once, what is read, and how often."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumers import coalescing
from events.journal import Search, replay
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.workspace import Workspace
from integrations.sealing import Keyring
from schema import integrations
from schema.postgres import Database
from tests import source
from tests.conftest import connect, sample, until
from tests.house import TOKEN, House, house
from tests.source import TASK, Source

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def clickup() -> AsyncIterator[Source]:
    async with Source().serving() as running:
        running.answers = source.story()
        yield running


@pytest.fixture
async def at(database: Database, sql: Any, keyring: Keyring, clickup: Source) -> AsyncIterator[House]:
    async with house(database, sql, keyring, clickup.url) as one:
        yield one


@asynccontextmanager
async def simulated(database: Database, sql: Any, keyring: Keyring, simulator: Simulator) -> AsyncIterator[House]:
    async with (
        simulator.serving() as url,
        house(database, sql, keyring, url, workspace_id=simulator.workspace.team_id) as one,
    ):
        yield one


def status_event(status: str, date: int) -> Body:
    """A change of status of the story's task."""
    item = {"field": "status", "date": str(date), "after": {"status": status, "type": "custom"}}
    return {"event": "taskStatusUpdated", "task_id": TASK, "webhook_id": "x", "history_items": [item]}


LATER = 1_773_600_000_000
"""After the story's task was last updated, in epoch milliseconds."""


async def known(at: House) -> None:
    """The story's task is in the knowledge base."""
    await at.deliver(sample("task-created"))
    await at.idle()


async def test_what_is_stated_is_in_the_row_before_anything_is_asked(at: House, clickup: Source) -> None:
    """Marked, until the read confirms it: then it is one version and one event."""
    at.window = timedelta(seconds=1)
    async with at.consuming():
        await known(at)
        before, told = clickup.calls[f"task/{TASK}"], (await at.object("task", TASK))["version"]
        clickup.answers[f"task/{TASK}"] = source.task(
            status={"status": "done", "type": "done"}, date_updated=str(LATER)
        )
        await at.deliver(status_event("done", LATER))

        async def shown() -> bool:
            return bool((await at.object("task", TASK))["status"] == "done")

        await until(shown, within=0.8)
        row = await at.object("task", TASK)
        assert (row["provisional"] is not None, row["version"], clickup.calls[f"task/{TASK}"]) == (True, told, before)
        await at.idle()
        row = await at.object("task", TASK)
        assert (row["status"], row["provisional"], row["version"]) == ("done", None, told + 1)
        assert clickup.calls[f"task/{TASK}"] == before + 1


async def test_what_was_stated_wrongly_is_corrected_in_silence(at: House) -> None:
    """The source says otherwise: the row is as read, and nobody was told of a change."""
    async with at.consuming():
        await known(at)
        before = await at.object("task", TASK)
        tail = await at.bus.tail(["knowledge.#"])
        await at.deliver(status_event("never was", LATER))
        await at.idle()
        after = await at.object("task", TASK)
        assert await tail.receive(limit=9, within=0.2) == []
    assert (after["status"], after["version"], after["provisional"]) == (before["status"], before["version"], None)


async def test_a_companion_costs_nothing(database: Database, sql: Any, keyring: Keyring) -> None:
    """A creation and a change, each with its companion: one read each, and the row is the source's."""
    simulator = Simulator(seed=3, token=TOKEN)
    async with simulated(database, sql, keyring, simulator) as at, at.consuming():
        ws = simulator.workspace
        space = ws.create_space("Platform")[0]["space_id"]
        list_id = ws.create_list(ws.create_folder(space, "F")[0]["folder_id"], "L")[0]["list_id"]
        created = ws.create_task(list_id, "One")
        assert len(await at.deliver(*created)) == 2
        await at.idle()
        task_id = created[0]["task_id"]
        assert reads(simulator) == 1
        await at.deliver(*ws.set_priority(task_id, 1))
        await at.idle()
        assert reads(simulator) == 2
        assert (await at.object("task", task_id))["version"] == 2


def reads(simulator: Simulator) -> int:
    return sum(calls for (_, path, _), calls in simulator.calls.items() if path == "/v2/task/{task_id}")


async def test_a_consumer_that_ends_with_deliveries_in_hand_loses_none(at: House, clickup: Source) -> None:
    """They are handed out again, stated again without harm, and read."""
    async with at.consuming():
        await known(at)
    clickup.answers[f"task/{TASK}"] = source.task(status={"status": "done", "type": "done"}, date_updated=str(LATER))
    at.window = timedelta(seconds=30)
    async with at.consuming():
        await at.deliver(status_event("done", LATER))
        await asyncio.sleep(0.5)
    assert (await at.object("task", TASK))["provisional"] is not None
    at.window = timedelta(seconds=0.1)
    async with at.consuming():
        await at.idle()
    row = await at.object("task", TASK)
    assert (row["status"], row["provisional"]) == ("done", None)


async def test_what_a_sync_found_first_is_not_missed_when_a_delivery_tells_of_it(at: House, clickup: Source) -> None:
    """Though the row is of that version already and nothing is read for the delivery."""
    async with at.consuming():
        await known(at)
        row, before = await at.object("task", TASK), clickup.calls.total()
        changed = row["external_updated_at"]
        await at.sql.execute(
            "INSERT INTO kb.missed_changes"
            " (integration_id, object_id, version, external_type, external_id, action, changed_at)"
            " VALUES ($1, $2, 2, 'task', $3, 'updated', $4)",
            at.connected.id, row["id"], TASK, changed,
        )  # fmt: skip
        await at.deliver(status_event("in progress", round(changed.timestamp() * 1000)))
        await at.idle()
        assert await at.sql.fetchval("SELECT count(*) FROM kb.missed_changes") == 0
        assert clickup.calls.total() == before


async def test_a_replay_reads_what_is_known_already(at: House, clickup: Source) -> None:
    """Though the row is of the right version: it may be wrong all the same."""
    async with at.consuming():
        (envelope,) = await at.deliver(sample("task-status-updated"))
        await at.idle()
        before = clickup.calls[f"task/{TASK}"]
        await replay(at.database, at.bus, Search(), ids=[envelope.id], rate=100, progress=lambda _done, _total: None)
        await at.idle()
        assert clickup.calls[f"task/{TASK}"] == before + 1


async def test_an_integration_may_be_deleted_while_its_deliveries_are_applied(
    database: Database, sql: Any, keyring: Keyring
) -> None:
    """Nobody meets anybody crosswise: the deletion goes through, what is left is refused, and the consumer goes on."""
    simulator = Simulator(seed=6, token=TOKEN)
    ws, chance = simulator.workspace, random.Random(6)  # noqa: S311  a story
    space = ws.create_space("Platform")[0]["space_id"]
    list_id = ws.create_list(ws.create_folder(space, "F")[0]["folder_id"], "L")[0]["list_id"]
    created = [ws.create_task(list_id, f"Task {turn}")[0] for turn in range(30)]
    async with simulated(database, sql, keyring, simulator) as at, at.consuming("knowledge", "sync-state"):
        at.window = timedelta(seconds=0.05)
        for _ in range(4):
            await at.deliver(*created)
            await asyncio.sleep(chance.random() * 0.2)
            await at.deliver(*burst(ws, [one["task_id"] for one in created], chance)[:200])
            await asyncio.sleep(chance.random() * 0.3)
            assert await integrations.delete(database, at.connected.id)
            at.connected = await connect(database, keyring, token=TOKEN, workspace_id=ws.team_id)
        await at.deliver(*created)
        await at.idle_but("kb.journal", within=60)
        assert {row["integration_id"] for row in await sql.fetch("SELECT integration_id FROM kb.objects")} == {
            at.connected.id
        }


TASKS, EVENTS = 60, 1000
STARTED = datetime(2026, 3, 15, 10, tzinfo=UTC)
Edit = Callable[[str], list[Body]]


def burst(ws: Workspace, tasks: list[str], chance: random.Random) -> list[Body]:
    """What a busy team does to its tasks, with companions: a thousand deliveries."""
    list_id = ws.tasks[tasks[0]].list_id
    statuses = [status.name for status in ws.statuses_of(list_id)]
    members = list(ws.members)
    other = ws.create_list(ws.lists[list_id].folder_id, "Elsewhere")[0]["list_id"]
    edits: list[Edit] = [
        lambda id_: ws.set_status(id_, chance.choice(statuses)),
        lambda id_: ws.set_priority(id_, chance.choice([None, 1, 2, 3, 4])),
        lambda id_: ws.rename_task(id_, f"Task {chance.random()}"),
        lambda id_: ws.add_assignee(id_, chance.choice(members)),
        lambda id_: ws.remove_assignee(id_, chance.choice(members)),
        lambda id_: ws.set_due_date(id_, chance.choice([None, 1_780_000_000_000])),
        lambda id_: ws.add_tag(id_, f"tag {chance.randrange(5)}"),
        lambda id_: [body for body in ws.move_task(id_, chance.choice([list_id, other])) if "task_id" in body],
    ]
    bodies: list[Body] = []
    while len(bodies) < EVENTS:
        bodies += chance.choice(edits)(chance.choice(tasks))
    return bodies[:EVENTS]


@pytest.mark.parametrize("spread", [0.0, 5.0], ids=["all at once", "200 a second"])
async def test_a_thousand_events_over_sixty_tasks(
    spread: float, database: Database, sql: Any, keyring: Keyring
) -> None:
    """At most 150 calls, and the rows are those of the source, versions counted once."""
    simulator = Simulator(seed=4, token=TOKEN)
    ws, chance = simulator.workspace, random.Random(4)  # noqa: S311  a story
    async with simulated(database, sql, keyring, simulator) as at:
        at.window = timedelta(seconds=2)
        space = ws.create_space("Platform")[0]["space_id"]
        list_id = ws.create_list(ws.create_folder(space, "F")[0]["folder_id"], "L")[0]["list_id"]
        created = [ws.create_task(list_id, f"Task {turn}") for turn in range(TASKS)]
        async with at.consuming():
            await at.deliver(*(body for bodies in created for body in bodies))
            await at.idle()
            before = sum(simulator.calls.values())
            bodies = burst(ws, [one[0]["task_id"] for one in created], chance)
            for first in range(0, EVENTS, 40):
                await at.deliver(*bodies[first : first + 40])
                await asyncio.sleep(spread * 40 / EVENTS)
            await at.idle(within=60)
        assert sum(simulator.calls.values()) - before <= 150
        rows = await sql.fetch("SELECT * FROM kb.objects WHERE external_type = 'task'")
        assert len(rows) == TASKS
        for row in rows:
            task = ws.tasks[row["external_id"]]
            assert (row["title"], row["status"], row["labels"], row["external_parent_id"], row["provisional"]) == (
                task.name, task.status.name, task.tags, task.list_id, None,
            )  # fmt: skip
        counted = await sql.fetchval("SELECT total_synced_tasks FROM kb.clickup_sync_state")
        assert counted == sum(row["version"] for row in rows)


async def test_what_is_stated_is_what_would_be_read(
    database: Database, sql: Any, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows amended by a thousand deliveries and not read yet say of these attributes what the source says."""
    monkeypatch.setattr(coalescing, "PRESSED", math.inf)
    ticks = itertools.count()
    simulator = Simulator(seed=5, token=TOKEN, clock=lambda: STARTED + timedelta(milliseconds=7 * next(ticks)))
    ws, chance = simulator.workspace, random.Random(5)  # noqa: S311  a story
    async with simulated(database, sql, keyring, simulator) as at:
        space = ws.create_space("Platform")[0]["space_id"]
        list_id = ws.create_list(ws.create_folder(space, "F")[0]["folder_id"], "L")[0]["list_id"]
        created = [ws.create_task(list_id, f"Task {turn}")[0] for turn in range(20)]
        async with at.consuming():
            await at.deliver(*created)
            await at.idle()
        bodies = burst(ws, [one["task_id"] for one in created], chance)
        chance.shuffle(bodies)
        at.window = timedelta(seconds=300)
        async with at.consuming("knowledge"):
            await at.deliver(*bodies)
            await until(lambda: settled_down(at), within=30)
            rows = await sql.fetch("SELECT * FROM kb.objects WHERE external_type = 'task'")
            at.window = timedelta(seconds=0.1)
    assert {row["provisional"] is None for row in rows} == {False}
    for row in rows:
        task = ws.tasks[row["external_id"]]
        assert (row["title"], row["status"], sorted(row["labels"]), row["external_parent_id"]) == (
            task.name, task.status.name, sorted(task.tags), task.list_id,
        )  # fmt: skip


async def settled_down(at: House) -> bool:
    """Whether all rows stay as they are for a while."""
    newest = "SELECT max(amended_at) < clock_timestamp() - interval '1 second' FROM kb.objects"
    return bool(await at.sql.fetchval(newest))


def test_the_burst_is_what_it_says() -> None:
    """A thousand deliveries, a companion for each, about sixty tasks."""
    simulator = Simulator(seed=4, token=TOKEN)
    ws = simulator.workspace
    space = ws.create_space("Platform")[0]["space_id"]
    list_id = ws.create_list(ws.create_folder(space, "F")[0]["folder_id"], "L")[0]["list_id"]
    tasks = [ws.create_task(list_id, f"Task {turn}")[0]["task_id"] for turn in range(TASKS)]
    bodies: list[Mapping[str, Any]] = list(burst(ws, tasks, random.Random(4)))  # noqa: S311  a story
    assert len(bodies) == EVENTS
    assert {body["task_id"] for body in bodies} == set(tasks)
    assert sum(body["event"] == "taskUpdated" for body in bodies) >= 500
