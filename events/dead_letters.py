"""Dead letters: what no consumer could handle, to be looked at, given back or discarded. They stay on the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from events.bus import ATTEMPT, DIED, REASON, Bus, Delivery, Subscription
from events.envelope import PREFIX, derived_id
from events.topology import Queue

QUIET_SECONDS: Final = 1.0
"""A queue from which nothing comes for so long has nothing more, whatever was counted: somebody else may have it."""
BRIEF_SECONDS: Final = 0.1
"""How long for what nobody counted: another look may just have given it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which dead letters: those that match everything that is given.

    Attributes:
        ids: of events.
        consumer: whose.
        type: beginning of the event's type.
        reason: a part of the reason, in any case.
    """

    ids: Collection[UUID] | None = None
    consumer: str | None = None
    integration_id: UUID | None = None
    type: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One of them. What cannot be read as an event has an id made of its bytes, and of the rest what there is."""

    consumer: str
    delivery: Delivery
    subscription: Subscription

    @property
    def id(self) -> UUID:
        """The event's id."""
        try:
            return UUID(str(self._attribute("id")))
        except ValueError:
            return derived_id(b"dead", self.delivery.body)

    @property
    def reason(self) -> str:
        """Why it is dead."""
        return str(self.delivery.headers.get(REASON) or "given up by the broker: handed out too often")

    @property
    def received_at(self) -> datetime | None:
        """When its event was received."""
        return _moment(self._attribute("time"))

    @property
    def died_at(self) -> datetime | None:
        """When it was given up; unknown where the broker did so, or an earlier version."""
        return _moment(self.delivery.headers.get(DIED))

    def outline(self) -> dict[str, Any]:
        """What a list shows."""
        return {
            "id": str(self.id),
            "consumer": self.consumer,
            "type": self._attribute("type"),
            "subject": self._attribute("subject"),
            "integration_id": self._attribute("integrationid"),
            "received_at": self.received_at,
            "died_at": self.died_at,
            "attempts": self.delivery.headers.get(ATTEMPT),
            "reason": self.reason,
            "size": len(self.delivery.body),
        }

    def matches(self, wanted: Choice) -> bool:
        """Whether it is chosen."""
        return (
            (wanted.ids is None or self.id in wanted.ids)
            and (wanted.integration_id is None or self._attribute("integrationid") == str(wanted.integration_id))
            and (wanted.type is None or str(self._attribute("type") or "").startswith(wanted.type))
            and (wanted.reason is None or wanted.reason.lower() in self.reason.lower())
        )

    def _attribute(self, name: str) -> object:
        return self.delivery.headers.get(PREFIX + name)


@asynccontextmanager
async def dead_letters(bus: Bus, queues: Sequence[Queue], wanted: Choice) -> AsyncIterator[list[DeadLetter]]:
    """The chosen ones of these queues, newest first; nobody else sees them until this ends."""
    opened: list[tuple[Queue, Subscription]] = []
    try:
        for queue in queues:
            if wanted.consumer in (None, queue.consumer):
                opened.append((queue, await bus.dead(queue)))  # noqa: PERF401  closed, too, when the next one fails
        found = await asyncio.gather(*(_all_of(queue, subscription) for queue, subscription in opened))
        chosen = [one for here in found for one in here if one.matches(wanted)]
        yield sorted(chosen, key=_age, reverse=True)
    finally:
        for _, subscription in opened:
            await subscription.close()


async def _all_of(queue: Queue, subscription: Subscription) -> list[DeadLetter]:
    """Everything in one dead queue, newest first."""
    found: list[Delivery] = []
    while True:
        within = QUIET_SECONDS if len(found) < subscription.expected else BRIEF_SECONDS
        if not (batch := await subscription.receive(limit=1000, within=within)):
            break
        found += batch
    return [DeadLetter(consumer=queue.consumer, delivery=one, subscription=subscription) for one in reversed(found)]


def _age(one: DeadLetter) -> datetime:
    return one.died_at or one.received_at or datetime.min.replace(tzinfo=UTC)


def _moment(value: object) -> datetime | None:
    """What is no event of ours may have anything in its headers."""
    try:
        at = datetime.fromisoformat(str(value))
        return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
