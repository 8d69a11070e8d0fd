"""Deliveries are signed, retried, counted and given up as ClickUp's are, over real sockets."""

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

import integrations.clickup
from integrations.clickup.simulator.delivery import Deliveries, sign
from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.records import Place
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.workspace import DuplicateWebhookError

SAMPLES = Path(integrations.clickup.__file__).parent / "samples"
SECRET = "K7Q2M9XWZ4T1R8V3B6N5C0L2J9H4G7F1D8S3A6P5O2I9U4Y7E1W8Q3T6R5Z0X2V9"


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """A receiver: `answer` says the status for the nth request; what came is kept."""

    answer: int | Callable[[int], int] = 200
    pause: float = 0.0
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    arrival: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def tasks(self) -> list[str]:
        return [orjson.loads(body)["task_id"] for body in self.bodies]

    async def received(self, count: int) -> None:
        async with self.arrival:
            await self.arrival.wait_for(lambda: len(self.bodies) >= count)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head)}
                self.bodies.append(await reader.readexactly(int(headers["content-length"])))
                self.headers.append(headers)
                async with self.arrival:
                    self.arrival.notify_all()
                status = self.answer if isinstance(self.answer, int) else self.answer(len(self.bodies))
                await asyncio.sleep(self.pause)
                location = b"Location: /elsewhere\r\n" if status == 302 else b""
                writer.write(b"HTTP/1.1 %d X\r\n%bContent-Length: 0\r\n\r\n" % (status, location))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(endpoint: Endpoint) -> AsyncIterator[Endpoint]:
    server = await asyncio.start_server(endpoint.handle, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield endpoint
    finally:
        server.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def company(*, faults: Faults | None = None, **options: Any) -> AsyncIterator[tuple[Simulator, str]]:
    """A simulator with one list, without back-off and sending one at a time."""
    settings = {"backoff": (0.0,), "concurrency": 1, **options}
    sim = Simulator(
        seed=9,
        token="pk_test",
        clock=lambda: datetime(2026, 3, 15, tzinfo=UTC),
        faults=faults,
        **settings,
    )
    list_id = sim.workspace.create_space("Platform")[1]["list_id"]
    try:
        yield sim, list_id
    finally:
        await sim.close(grace=1.0)


async def happen(sim: Simulator, list_id: str, times: int = 1) -> list[str]:
    """Create and delete tasks, telling only of the removals: one event each."""
    gone = []
    for _ in range(times):
        task_id = sim.workspace.create_task(list_id, "One")[0]["task_id"]
        await sim.apply(sim.workspace.delete_task(task_id))
        gone.append(task_id)
    await sim.deliveries.drain()
    return gone


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("task-deleted", "5f1059d345bbd7fc5d919fcbe947ebe4f664600384df03866459d762ed70991d"),
        ("task-updated-name", "50a143d12c3f98edf7862b062ad4de16ba4b4c6d52faea72adc6dbddc8e675b5"),
        ("task-comment-posted", "008672fa141c005477369f26162ce84c768c4906b959e7e930deb37d7b068b07"),
    ],
)
def test_signature_vectors(name: str, signature: str) -> None:
    """The signature is the known one for known bytes, non-ASCII and emoji included."""
    assert sign(SECRET, (SAMPLES / f"{name}.json").read_bytes()) == signature


async def test_signed_compact_json() -> None:
    """A delivery is compact JSON in UTF-8, naming the webhook last, signed over exactly those bytes."""
    async with receiving(Endpoint()) as endpoint, company() as (sim, list_id):
        hook = sim.register_webhook(endpoint.url)
        await sim.apply(sim.workspace.create_task(list_id, "Étape 🔐"))
        await sim.deliveries.drain()
        assert sim.deliveries.outcomes == {"delivered": 2}
    body, headers = endpoint.bodies[0], endpoint.headers[0]
    assert headers["content-type"] == "application/json"
    assert headers["x-signature"] == hmac.new(hook.secret.encode(), body, hashlib.sha256).hexdigest()
    assert list(orjson.loads(body)) == ["event", "history_items", "task_id", "webhook_id"]
    assert orjson.dumps(orjson.loads(body)) == body


async def test_five_attempts_then_lost() -> None:
    """An event has five identical attempts, then counts one failure; a later success clears the health."""
    async with receiving(Endpoint(answer=500)) as endpoint, company() as (sim, list_id):
        hook = sim.register_webhook(endpoint.url)
        await happen(sim, list_id)
        assert (len(endpoint.bodies), len(set(endpoint.bodies))) == (5, 1)
        assert (hook.status, hook.fail_count) == ("failing", 1)
        assert (sim.deliveries.retried, sim.deliveries.outcomes) == (4, {"lost": 1})
        endpoint.answer = 204
        await happen(sim, list_id)
        assert (hook.status, hook.fail_count) == ("active", 0)
        assert sim.deliveries.answers == {"500": 5, "204": 1}
        assert len(endpoint.bodies) == 6


async def test_retry_succeeds() -> None:
    """An attempt that succeeds ends the retries, and the pauses between are the configured ones."""
    pauses: list[int] = []

    def backoff(attempt: int) -> float:
        pauses.append(attempt)
        return 0.0

    endpoint = Endpoint(answer=lambda nth: 200 if nth == 3 else 503)
    async with receiving(endpoint), company(backoff=backoff) as (sim, list_id):
        hook = sim.register_webhook(endpoint.url)
        await happen(sim, list_id)
        assert pauses == [1, 2]
        assert hook.status == "active"
        assert sim.deliveries.log[-1].attempts == 3


@pytest.mark.parametrize("status", [401, 410])
async def test_opting_out_suspends_at_once(status: int) -> None:
    """One answer of 401 or 410 suspends the hook: no retry, and later events are lost unsent."""
    async with receiving(Endpoint(answer=status)) as endpoint, company() as (sim, list_id):
        hook = sim.register_webhook(endpoint.url)
        await happen(sim, list_id)
        assert hook.suspended
        endpoint.answer = 200
        await happen(sim, list_id, times=3)
        assert len(endpoint.bodies) == 1
        assert sim.deliveries.outcomes == {"lost": 4}
        hook.reactivate()
        await happen(sim, list_id)
        assert sim.deliveries.outcomes["delivered"] == 1
        assert len(endpoint.bodies) == 2


async def test_hundred_lost_events_suspend() -> None:
    """The hundredth event that runs out of attempts suspends the hook; the next is not sent at all."""
    async with receiving(Endpoint(answer=500)) as endpoint, company() as (sim, list_id):
        hook = sim.register_webhook(endpoint.url)
        await happen(sim, list_id, times=99)
        assert (hook.status, hook.fail_count) == ("failing", 99)
        await happen(sim, list_id)
        assert (hook.status, hook.fail_count) == ("suspended", 100)
        await happen(sim, list_id)
        assert len(endpoint.bodies) == 500


async def test_slow_and_unreachable_endpoints_fail() -> None:
    """An answer past the time limit and a closed port count as failed attempts; a redirect is not followed."""
    async with receiving(Endpoint(pause=0.5)) as endpoint, company(timeout=0.05) as (sim, list_id):
        sim.register_webhook(endpoint.url, events=["taskDeleted"])
        await happen(sim, list_id)
        assert sim.deliveries.answers == {"timeout": 5}
    async with company() as (sim, list_id):
        sim.register_webhook(endpoint.url)
        await happen(sim, list_id)
        assert sim.deliveries.answers == {"unreachable": 5}
    async with receiving(Endpoint(answer=302)) as endpoint, company() as (sim, list_id):
        sim.register_webhook(endpoint.url)
        await happen(sim, list_id)
        assert sim.deliveries.answers == {"302": 5}


async def test_scope_and_events() -> None:
    """A hook hears only its events in its place, the most specific id winning, also of what is just deleted."""
    async with receiving(Endpoint()) as endpoint, company() as (sim, list_id):
        ws = sim.workspace
        other = ws.create_space("Other")
        other_list = other[1]["list_id"]
        kept = ws.create_task(list_id, "Kept")[0]["task_id"]
        spaces = list(ws.spaces)
        hooks = {
            "all": sim.register_webhook(endpoint.url),
            "space": sim.register_webhook(endpoint.url, scope=Place(space_id=spaces[0])),
            "list": sim.register_webhook(endpoint.url, scope=Place(space_id=spaces[0], list_id=other_list)),
            "task": sim.register_webhook(endpoint.url, scope=Place(task_id=kept)),
            "goals": sim.register_webhook(endpoint.url + "/goals", events=["goalCreated"]),
        }
        await sim.apply(ws.rename_task(kept, "Still kept"))
        await happen(sim, list_id)
        await happen(sim, other_list)
        await sim.apply(ws.delete_list(other_list))
        await sim.apply(ws.create_goal("Goal"))
        await sim.deliveries.drain()
        names = {hook.id: name for name, hook in hooks.items()}
        heard = Counter(names[orjson.loads(body)["webhook_id"]] for body in endpoint.bodies)
    assert heard == {"all": 5, "space": 2, "list": 2, "task": 1, "goals": 1}


async def test_drops() -> None:
    """A dropped delivery is never sent and leaves the hook's health alone."""
    async with receiving(Endpoint()) as endpoint, company(faults=Faults(drop_rate=0.5)) as (sim, list_id):
        hook = sim.register_webhook(endpoint.url)
        gone = await happen(sim, list_id, times=60)
        outcomes = sim.deliveries.outcomes
        assert outcomes["delivered"] + outcomes["dropped"] == 60
        assert 15 < outcomes["dropped"] < 45
        assert set(endpoint.tasks) < set(gone)
        assert (hook.status, hook.fail_count) == ("active", 0)


async def test_duplicates() -> None:
    """A duplicated delivery arrives twice with the same bytes."""
    async with receiving(Endpoint()) as endpoint, company(faults=Faults(duplicate_rate=1.0)) as (sim, list_id):
        sim.register_webhook(endpoint.url)
        gone = await happen(sim, list_id, times=5)
        assert endpoint.tasks == [one for one in gone for _ in range(2)]
        assert len(set(endpoint.bodies)) == 5


async def test_shuffle_stays_in_its_window() -> None:
    """Shuffling changes the order within each group and never between groups; a short rest still leaves soon."""
    async with receiving(Endpoint()) as endpoint, company(faults=Faults(shuffle_window=10)) as (sim, list_id):
        sim.register_webhook(endpoint.url)
        ws = sim.workspace
        made = [ws.create_task(list_id, "One")[0]["task_id"] for _ in range(25)]
        for task_id in made:
            await sim.apply(ws.delete_task(task_id))
        async with asyncio.timeout(5):
            await endpoint.received(25)
        groups = [slice(0, 10), slice(10, 20), slice(20, 25)]
        assert [set(endpoint.tasks[one]) for one in groups] == [set(made[one]) for one in groups]
        assert endpoint.tasks != made


async def test_faults_repeat_by_seed() -> None:
    """One seed drops, doubles and shuffles the same deliveries again."""
    runs = []
    for _ in range(2):
        faults = Faults(drop_rate=0.2, duplicate_rate=0.2, shuffle_window=4)
        async with receiving(Endpoint()) as endpoint, company(faults=faults) as (sim, list_id):
            sim.register_webhook(endpoint.url)
            ws = sim.workspace
            for task_id in [ws.create_task(list_id, "One")[0]["task_id"] for _ in range(40)]:
                await sim.apply(ws.delete_task(task_id))
            await sim.deliveries.drain()
            runs.append(endpoint.tasks)
    assert runs[0] == runs[1]


async def test_several_in_flight_and_bounded() -> None:
    """Deliveries overlap up to the bound, and handing over waits while the queue is full."""
    async with receiving(Endpoint(pause=0.05)) as endpoint, company() as (sim, list_id):
        sender = Deliveries(sim.workspace, sim.faults, concurrency=4, queue_size=8)
        sim.register_webhook(endpoint.url)
        ws = sim.workspace
        for task_id in [ws.create_task(list_id, "One")[0]["task_id"] for _ in range(30)]:
            await sender.send(ws.delete_task(task_id))
            assert sender.open <= 8
            assert len(endpoint.bodies) - sender.outcomes["delivered"] <= 5
        await sender.close()
        assert sender.outcomes == {"delivered": 30}


async def test_close_cancels_after_grace() -> None:
    """Closing waits no longer than its grace, counts what it gave up, and takes nothing more."""
    async with receiving(Endpoint(answer=500)) as endpoint, company(backoff=(60.0,)) as (sim, list_id):
        sim.register_webhook(endpoint.url)
        ws = sim.workspace
        task_id, later_id = (ws.create_task(list_id, "One")[0]["task_id"] for _ in range(2))
        await sim.apply(ws.delete_task(task_id))
        async with asyncio.timeout(3):
            await sim.close(grace=0.2)
        assert sim.deliveries.outcomes == {"cancelled": 1}
        with pytest.raises(RuntimeError, match="closed"):
            await sim.apply(ws.delete_task(later_id))


async def test_deleted_webhook_gets_nothing_more() -> None:
    """Deleting a hook stops the retries that are under way to it."""
    async with receiving(Endpoint(answer=500)) as endpoint, company(backoff=(0.05,)) as (sim, list_id):
        hook = sim.register_webhook(endpoint.url)
        task_id = sim.workspace.create_task(list_id, "One")[0]["task_id"]
        await sim.apply(sim.workspace.delete_task(task_id))
        await endpoint.received(1)
        del sim.workspace.webhooks[hook.id]
        await sim.deliveries.drain()
        assert len(endpoint.bodies) < 5
        assert sim.deliveries.outcomes == {"cancelled": 1}


def test_webhook_is_not_registered_twice() -> None:
    """The same endpoint and location is refused in process as over the API."""
    sim = Simulator(seed=1, token="pk_test")
    sim.register_webhook("https://example.com/hook")
    with pytest.raises(DuplicateWebhookError):
        sim.register_webhook("https://example.com/hook")
