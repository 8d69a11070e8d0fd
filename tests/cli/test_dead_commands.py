"""`dead ...` as an operator meets it, on both brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import pytest

from cli.programs import open_bus
from cli.settings import load
from consumers.handlers import consumers
from events.bus import Bus
from events.envelope import Envelope
from events.topology import KNOWLEDGE, Queue
from tests.cli.conftest import Commands
from tests.conftest import Connected
from tests.house import now

SYNC_STATE = "sync-state"
Make = Callable[..., Awaitable[UUID]]


@pytest.fixture(params=["rabbitmq", "embedded"])
async def make(
    request: pytest.FixtureRequest, configured: Commands, connected: Connected, amqp_url: str
) -> AsyncIterator[Make]:
    """Makes a dead letter of a consumer; in the end there is none."""
    if request.param == "rabbitmq":
        configured.configure(AMQP_URL=amqp_url)
    async with AsyncExitStack() as stack:
        bus = await open_bus(load(), (), stack)
        await emptied(bus)

        async def one(
            queue: Queue = KNOWLEDGE, *, reason: str = "too odd", type_: str = "clickup.task.updated"
        ) -> UUID:
            envelope = Envelope(
                id=uuid4(),
                source="/test",
                type=type_,
                subject="task/1",
                integration_id=connected.id,
                time=now(),
                data=b'{"a":1}',
            )
            await bus.publish([envelope], within=10)
            for other in queues():
                if any(type_.startswith(binding.partition(".")[0]) for binding in other.bindings):
                    subscription = await bus.subscribe(other, prefetch=100)
                    for delivery in await subscription.receive(limit=100, within=5):
                        if other == queue:
                            await subscription.dead_letter(delivery, reason=reason)
                        else:
                            await subscription.ack([delivery])
                    await subscription.close()
            return envelope.id

        yield one
        await emptied(bus)


def queues() -> list[Queue]:
    return [consumer.queue for consumer in consumers().values() if consumer.queue is not None]


async def emptied(bus: Bus) -> None:
    for queue in queues():
        for subscription in (await bus.dead(queue), await bus.subscribe(queue, prefetch=1000)):
            while batch := await subscription.receive(limit=1000, within=0.3):
                await subscription.ack(batch)
            await subscription.close()


async def listed(kb: Commands, options: str = "") -> list[str]:
    return [one["id"] for one in (await kb(f"dead list {options} --json")).json]


async def test_dead_letters_from_list_to_end(configured: Commands, make: Make, connected: Connected) -> None:
    """Newest first, by filter, with the reasons counted; shown; given back; discarded."""
    kb = configured
    assert await listed(kb) == []
    first, second = str(await make()), str(await make(reason="ClickUp said 400"))
    third = str(await make(consumers()[SYNC_STATE].queue, type_="knowledge.task.updated", reason="too odd"))
    assert await listed(kb) == [third, second, first]
    assert await listed(kb, "--consumer knowledge") == [second, first]
    assert await listed(kb, "--type knowledge") == [third]
    assert await listed(kb, "--reason clickup") == [second]
    assert await listed(kb, "--limit 1") == [third]
    assert await listed(kb, f"--integration {uuid4()}") == []
    assert len(await listed(kb, f"--integration {connected.id}")) == 3
    counted = (await kb("dead list --reasons --json")).json
    assert sorted((one["consumer"], one["reason"], one["count"]) for one in counted) == [
        ("knowledge", "ClickUp said 400", 1), ("knowledge", "too odd", 1), (SYNC_STATE, "too odd", 1),
    ]  # fmt: skip
    (shown,) = (await kb(f"dead show {first} --payload --json")).json
    assert (shown["payload"], shown["reason"], shown["headers"]["kb-queue"]) == ('{"a":1}', "too odd", "kb.knowledge")
    assert "payload" not in (await kb(f"dead show {first} --json")).json[0]
    assert first in (await kb(f"dead show {first}")).out
    assert first in (await kb("dead list")).out
    assert (await kb(f"dead replay {first} --json")).json == {"replayed": 1}
    assert await listed(kb) == [third, second]
    assert (await kb("dead discard --all --reason 400 --json")).json == {"discarded": 1}
    ended = await kb("dead discard --all")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "discarded 1 dead letters")
    assert await listed(kb) == []
    ended = await kb(f"dead discard {first}")
    assert ended.code == 1
    assert first in ended.error


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("dead replay", "--all"),
        ("dead discard", "--all"),
        ("dead replay --all 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10", "--all"),
        ("dead list --consumer nope", "knowledge"),
        ("dead show 17", "UUID"),
    ],
)
async def test_what_is_wrong_is_said(configured: Commands, line: str, said: str) -> None:
    """One line that helps, and the exit code of a wrong call."""
    ended = await configured(line)
    assert ended.code == 2
    assert said in ended.error


async def test_a_dead_letter_that_is_not_there_is_said(configured: Commands) -> None:
    ended = await configured("dead show 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10")
    assert ended.code == 1
    assert "dead list" in ended.error
