"""The proof: whatever order, duplication, lost connection or crash, everything ends as a perfect run would leave it.

The real consumers run on a real database, behind a simulated workspace that is the model: tiny, always right, and
changed while they run. Answers of its API are held back, so that looks overtake one another. Each run ends with all
deliveries made, and then: the rows are the workspace; each version of each row was told exactly once, in events with
distinct ids; the statistics count exactly these; the cursor is the youngest change; nothing is provisional.

`CONVERGENCE_EXAMPLES` and `CONVERGENCE_STEPS` say how long (the defaults are short, for every day), `CONVERGENCE_SEED`
repeats a run: the seed is printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

import asyncpg
import httpx
import orjson
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, rule

import schema.postgres
from consumers import outbox, worker
from consumers.handlers import knowledge
from events.embedded import Embedded
from events.topology import QUEUES, Queue
from integrations.access import Opener
from integrations.budget import Budget
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.workspace import Workspace
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.conftest import Connected, connect
from tests.faults import after_awaits
from tests.house import TOKEN, House, now

EXAMPLES = int(os.environ.get("CONVERGENCE_EXAMPLES", "8"))
STEPS = int(os.environ.get("CONVERGENCE_STEPS", "25"))
SEED = int(os.environ.get("CONVERGENCE_SEED") or random.SystemRandom().randrange(2**32))
WITNESS = Queue(consumer="witness", bindings=("knowledge.#",))
URL = "http://clickup.test/api"
WINDOW = timedelta(seconds=0.03)
T = TypeVar("T")

pytestmark = [
    pytest.mark.timeout(7200),
    # what is cancelled before its first step was never begun, which is all that a crash is
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


def pick(things: Sequence[T], number: int) -> T:
    return things[number % len(things)]


def a_task(ws: Workspace, number: int) -> str | None:
    return pick(list(ws.tasks), number) if ws.tasks else None


def of_task(edit: Callable[[Workspace, str, int], list[Body]]) -> Callable[[Workspace, int], list[Body]]:
    """An edit of some task, or nothing where there is none."""

    def some(ws: Workspace, number: int) -> list[Body]:
        return edit(ws, task_id, number // 7) if (task_id := a_task(ws, number)) is not None else []

    return some


def create_task(ws: Workspace, number: int) -> list[Body]:
    return ws.create_task(pick(list(ws.lists), number), f"Task {number}") if ws.lists else []


def create_list(ws: Workspace, number: int) -> list[Body]:
    return ws.create_list(pick([one.id for one in ws.folders.values() if not one.hidden], number), f"List {number}")


def rename_list(ws: Workspace, number: int) -> list[Body]:
    return ws.rename_list(pick(list(ws.lists), number), f"List {number}") if ws.lists else []


def delete_list(ws: Workspace, number: int) -> list[Body]:
    return ws.delete_list(pick(list(ws.lists), number)) if len(ws.lists) > 1 else []


def edit_comment(ws: Workspace, number: int) -> list[Body]:
    return ws.edit_comment(pick(list(ws.comments), number), f"Edited {number}") if ws.comments else []


def move_task(ws: Workspace, task_id: str, number: int) -> list[Body]:
    return ws.move_task(task_id, pick(list(ws.lists), number)) if ws.tasks[task_id].parent is None else []


def set_status(ws: Workspace, task_id: str, number: int) -> list[Body]:
    statuses = ws.statuses_of(ws.tasks[task_id].list_id)
    return ws.set_status(task_id, pick([status.name for status in statuses], number))


EDITS: dict[str, Callable[[Workspace, int], list[Body]]] = {
    "create task": create_task,
    "create list": create_list,
    "rename list": rename_list,
    "delete list": delete_list,
    "edit comment": edit_comment,
    "subtask": of_task(lambda ws, id_, n: ws.create_task(ws.tasks[id_].list_id, f"Sub {n}", parent=id_)),
    "rename": of_task(lambda ws, id_, n: ws.rename_task(id_, f"Renamed {n}")),
    "describe": of_task(lambda ws, id_, n: ws.describe_task(id_, f"Words {n}")),
    "status": of_task(set_status),
    "priority": of_task(lambda ws, id_, n: ws.set_priority(id_, pick([None, 1, 2, 3, 4], n))),
    "tag": of_task(lambda ws, id_, n: ws.add_tag(id_, f"tag {n % 4}")),
    "assign": of_task(lambda ws, id_, n: ws.add_assignee(id_, pick(list(ws.members), n))),
    "unassign": of_task(lambda ws, id_, n: ws.remove_assignee(id_, pick(list(ws.members), n))),
    "due": of_task(lambda ws, id_, n: ws.set_due_date(id_, pick([None, 1_800_000_000_000 + n], n))),
    "move": of_task(move_task),
    "delete": of_task(lambda ws, id_, _n: ws.delete_task(id_)),
    "comment": of_task(lambda ws, id_, n: ws.post_comment(id_, f"Remark {n}")),
}
"""What people do to a workspace, and what a number makes of it."""


TASK_EDITS = ("rename", "describe", "status", "move", "subtask", "delete list", "create list")
"""Some that leave a trace in what is compared."""


class Late(httpx.ASGITransport):
    """The simulated API, whose answers take a while to arrive: they are of the moment when they were asked for."""

    def __init__(self, simulator: Simulator, chance: random.Random) -> None:
        super().__init__(app=simulator.app)
        self._chance = chance

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        await asyncio.sleep(self._chance.choice((0, 0, 0, 0, 0.01, 0.01, 0.08, 0.4)))
        return answer


class Clock:
    """The time of day, never twice the same."""

    def __init__(self) -> None:
        self._last = datetime.now(UTC)

    def __call__(self) -> datetime:
        self._last = max(self._last + timedelta(milliseconds=1), datetime.now(UTC))
        return self._last


class World:
    """One loop, one database, for all runs of a test."""

    def __init__(self, url: str, keyring: Keyring) -> None:
        self.url, self.keyring = url, keyring
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.run(self._open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 120))

    async def _open(self) -> None:
        self.database = await Database(self.url, program="convergence", max_size=20).open()
        self.stack.push_async_callback(self.database.close)
        self.sql: Any = await asyncpg.connect(self.url)
        self.stack.push_async_callback(self.sql.close)
        self.scissors: Any = await asyncpg.connect(self.url)
        self.stack.push_async_callback(self.scissors.close)
        self.bus = Embedded(self.database, queues=[*QUEUES, WITNESS], lease=1.0)
        await self.bus.start(within=10)
        self.stack.push_async_callback(self.bus.close)

    def close(self) -> None:
        self.run(self.stack.aclose())
        self.loop.close()


class Run:
    """One workspace, followed: what was done, and what was heard of it."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.simulator = Simulator(seed=number, token=TOKEN, clock=Clock())
        self.chance = random.Random(number)  # noqa: S311  a story
        self.ws = self.simulator.workspace
        self.waiting: list[Body] = []
        self.delivered: list[Body] = []
        self.cutting: asyncio.Future[Any] | None = None
        space = self.ws.create_space("Space")
        folder = self.ws.create_folder(space[0]["space_id"], "Folder")
        self.waiting += [*space, *folder, *self.ws.create_list(folder[0]["folder_id"], "List")]

    async def open(self) -> Run:
        world = self.world
        self.http = httpx.AsyncClient(transport=Late(self.simulator, self.chance))
        budget = Budget(world.database)
        self.house = House(
            database=world.database,
            sql=world.sql,
            bus=world.bus,
            connected=await connect(
                world.database, world.keyring, connected=Connected(id=uuid4()), token=TOKEN,
                workspace_id=self.ws.team_id,
            ),
            opener=Opener(
                database=world.database, keyring=world.keyring, budget=budget, http=self.http, clickup_url=URL, now=now
            ),
            keyring=world.keyring,
            window=WINDOW,
        )  # fmt: skip
        return self

    def edit(self, kind: str, number: int) -> None:
        self.waiting += EDITS[kind](self.ws, number)

    async def deliver(self, share: float, *, twice: bool = False) -> None:
        """Some of what waits, in any order."""
        self.chance.shuffle(self.waiting)
        count = round(len(self.waiting) * share)
        bodies, self.waiting = self.waiting[:count], self.waiting[count:]
        self.delivered += bodies
        await self.house.deliver(*bodies, *(bodies if twice else ()))

    async def again(self, number: int) -> None:
        """Something old once more. Where every delivery is its own, that is another event."""
        if self.delivered:
            await self.house.deliver(pick(self.delivered, number))

    async def consume(
        self, *, crash: int | None = None, cut: int | None = None, during: Sequence[tuple[str, int]] = ()
    ) -> None:
        """Let the consumers work until nothing is left, or until they crash, while the workspace goes on."""

        async def work() -> None:
            async with self.house.consuming("knowledge", "sync-state"):
                for kind, number in during:
                    await asyncio.sleep(0.01)
                    self.edit(kind, number)
                    await self.deliver(0.7)
                await self.house.idle_but("kb.journal", WITNESS.name, within=60)

        if crash is None and cut is None:
            await work()
            return
        with after_awaits(crash or cut or 1, lambda: task.cancel() if crash is not None else self.cut()):
            task = asyncio.get_running_loop().create_task(work())
            await asyncio.wait([task])
        if self.cutting is not None:
            await self.cutting
        if not task.cancelled():
            task.result()

    def cut(self) -> None:
        """The database server closes every connection of ours."""
        cutting = self.world.scissors.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE '%convergence%'"
        )
        self.cutting = asyncio.ensure_future(cutting)

    async def end(self) -> None:
        """Deliver all that is left, apply it, and compare."""
        try:
            await self.deliver(1.0)
            await self.consume()
            await self.compare()
        finally:
            await self.http.aclose()
            await self.world.sql.execute("DELETE FROM kb.queue_messages")
            await self.world.sql.execute("DELETE FROM kb.outbox")

    async def compare(self) -> None:
        ws, id_ = self.ws, self.house.connected.id
        rows = await self.world.sql.fetch("SELECT * FROM kb.objects WHERE integration_id = $1", id_)
        living = {(row["external_type"], row["external_id"]): row for row in rows if row["deleted_at"] is None}
        found = {key: outline(row) for key, row in living.items() if key[0] in ("task", "list", "comment")}
        expected: dict[tuple[str, str], tuple[Any, ...]] = {}
        for one in ws.lists.values():
            folder = ws.folders[one.folder_id]
            above = folder.space_id if folder.hidden else folder.id
            expected["list", one.id] = (one.name, None, above, None, None)
        for task in ws.tasks.values():
            people = sorted(ws.members[member].username or ws.members[member].email for member in task.assignees)
            expected["task", task.id] = (
                task.name, task.status.name, task.parent or task.list_id, sorted(task.tags), people
            )  # fmt: skip
        for comment in ws.comments.values():
            expected["comment", comment.id] = (comment.text, None, comment.task_id, None, None)
        keys = found.keys() | expected.keys()
        assert {key: (found.get(key), expected.get(key)) for key in keys if found.get(key) != expected.get(key)} == {}
        assert [key for key, row in living.items() if row["provisional"] is not None] == []
        told = [
            orjson.loads(message["body"])
            for message in await self.world.sql.fetch(
                "SELECT DISTINCT ON (headers ->> 'cloudEvents_id') body FROM kb.queue_messages"
                " WHERE queue = $1 AND headers ->> 'cloudEvents_integrationid' = $2",
                WITNESS.name, str(id_),
            )
        ]  # fmt: skip
        versions = Counter((one["external_type"], one["external_id"], one["version"]) for one in told)
        assert versions == Counter(
            (row["external_type"], row["external_id"], version)
            for row in rows
            for version in range(1, row["version"] + 1)
        )
        state = await self.world.sql.fetchrow("SELECT * FROM kb.clickup_sync_state WHERE integration_id = $1", id_)
        counted = Counter(one["external_type"] for one in told)
        assert (state["total_synced_tasks"], state["total_synced_lists"], state["total_synced_spaces"]) == (
            counted["task"], counted["list"], counted["space"],
        )  # fmt: skip
        dates = [datetime.fromisoformat(one["external_updated_at"]) for one in told if one["external_updated_at"]]
        youngest = str(round(max(dates).timestamp() * 1000)) if dates else None
        assert state["sync_cursor"] == youngest


def outline(row: Any) -> tuple[Any, ...]:
    """Of a row what the workspace knows of it."""
    properties = orjson.loads(row["properties"])
    is_task, is_comment = row["external_type"] == "task", row["external_type"] == "comment"
    return (
        row["body"] if is_comment else row["title"],
        row["status"] if is_task else None,
        row["external_parent_id"],
        sorted(row["labels"]) if is_task else None,
        sorted(properties.get("assignees", [])) if is_task else None,
    )


class Machine(RuleBasedStateMachine):
    """Steps in any order."""

    world: ClassVar[World]
    runs: ClassVar[Iterator[int]]
    found: ClassVar[list[AssertionError]]

    def __init__(self) -> None:
        super().__init__()
        self.at = self.world.run(Run(self.world, next(self.runs)).open())

    @rule(kind=st.sampled_from(sorted(EDITS)), number=st.integers(0, 10_000))
    def edit(self, kind: str, number: int) -> None:
        self.at.edit(kind, number)

    @rule(many=st.lists(st.tuples(st.sampled_from(sorted(EDITS)), st.integers(0, 10_000)), max_size=6))
    def edit_much(self, many: list[tuple[str, int]]) -> None:
        for kind, number in many:
            self.at.edit(kind, number)

    @rule(share=st.sampled_from((0.3, 0.7, 1.0)), twice=st.booleans())
    def deliver(self, share: float, *, twice: bool) -> None:
        self.world.run(self.at.deliver(share, twice=twice))

    @rule(number=st.integers(0, 1000))
    def deliver_again(self, number: int) -> None:
        self.world.run(self.at.again(number))

    @rule(during=st.lists(st.tuples(st.sampled_from(sorted(EDITS)), st.integers(0, 10_000)), max_size=5))
    def consume(self, during: list[tuple[str, int]]) -> None:
        self.world.run(self.at.consume(during=during))

    @rule(awaits=st.integers(1, 600))
    def crash(self, awaits: int) -> None:
        self.world.run(self.at.consume(crash=awaits))

    @rule(awaits=st.integers(1, 300))
    def lose_connections(self, awaits: int) -> None:
        self.world.run(self.at.consume(cut=awaits))

    def teardown(self) -> None:
        try:
            self.world.run(self.at.end())
        except AssertionError as difference:
            self.found.append(difference)
            raise


@pytest.fixture
def world(database_url: str, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.05)  # how soon a stop is noticed
    monkeypatch.setattr(outbox, "IDLE_SECONDS", 0.1)
    one = World(database_url, keyring)
    yield one
    one.close()


def prove(world: World, *, examples: int, steps: int) -> None:
    """Run the machine. Raises the first difference: no two runs are alike, so there is nothing to shrink."""

    class Here(Machine):
        pass

    Here.world, Here.runs, Here.found = world, iter(range(10**9)), []
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    sys.stdout.write(f"CONVERGENCE_SEED={SEED}\n")
    try:
        seed(SEED)(get_state_machine_test(Here, settings=chosen))()
    except Exception:
        if Here.found:
            raise Here.found[0] from None
        raise


PLANTED = {
    "fence": "an older look overwrites a newer one",
    "cascade": "what lies below a deleted container lives on",
    "claim": "an event is claimed before its effect is committed",
    "ack": "a delivery is settled before its effect is committed",
}


def plant(bug: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break one rule of the real code."""
    if bug == "fence":
        world.run(
            world.sql.execute(
                "CREATE OR REPLACE FUNCTION kb.not_older(stored kb.objects, seen kb.objects) RETURNS boolean"
                " LANGUAGE sql STABLE AS 'SELECT true'"
            )
        )
    elif bug == "cascade":
        read = schema.postgres.sql
        nothing = "SELECT * FROM kb.objects, (SELECT $1::uuid[], $2::uuid[]) unused WHERE false"
        monkeypatch.setattr(schema.postgres, "sql", lambda name: nothing if name == "object_cascade" else read(name))
    elif bug == "claim":
        effect = knowledge._apply

        async def claimed_first(resources: Any, handled: Any, *rest: Any) -> None:
            async with resources.database.transaction() as transaction:
                await transaction.fetch("claim", knowledge.NAME, [envelope.id for envelope in handled])
            await effect(resources, handled, *rest)

        monkeypatch.setattr(knowledge, "_apply", claimed_first)
    else:
        process = worker.Worker._process

        async def settled_first(self: worker.Worker, subscription: Any, batch: Any, stop: Any) -> None:
            await subscription.ack(batch)
            await process(self, subscription, batch, stop)

        monkeypatch.setattr(worker.Worker, "_process", settled_first)


async def rough_day(world: World, number: int) -> None:
    """A run with more of what goes wrong than chance would bring: crashes, and edits while answers are late."""
    at = await Run(world, number).open()
    for turn in range(6):
        at.edit("create task", turn)
    await at.deliver(1.0)
    await at.consume()
    for _ in range(3):
        for _ in range(4):
            at.edit(at.chance.choice(sorted(EDITS)), at.chance.randrange(10_000))
        await at.deliver(1.0)
        await at.consume(crash=at.chance.randrange(1, 250))
    await at.consume(during=[(at.chance.choice(TASK_EDITS), at.chance.randrange(10_000)) for _ in range(30)])
    await at.end()


DAYS = 60


def rough_days(world: World, days: int) -> None:
    for number in range(days):
        world.run(rough_day(world, number))


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught(bug: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule matters: without it one of these days ends with a difference."""
    plant(bug, world, monkeypatch)
    with pytest.raises(AssertionError):
        rough_days(world, DAYS)


def test_rough_days_end_well(world: World) -> None:
    """The days that catch planted bugs, without one."""
    rough_days(world, DAYS // 10)


def test_everything_converges(world: World) -> None:
    """No difference, whatever happened."""
    prove(world, examples=EXAMPLES, steps=STEPS)
