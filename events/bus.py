"""The bus: what every adapter promises. `rabbitmq.py` and `embedded.py` keep it; one suite of tests holds both.

Promises
    Durable.        `publish` returns when every event is stored in every queue bound for it, and not before. It
                    raises `Unroutable` when one has no queue, `BusUnavailable` when the broker did not confirm in
                    time; an event may then have arrived all the same, so whoever publishes again keeps the id.
    At least once.  An event stays until `ack`. A receiver that dies, in whatever way, has its deliveries handed
                    out again. So the same event may come twice; the inbox makes its effect happen once.
    Fan-out.        Each queue whose pattern matches gets its own copy, whatever the others do with theirs.
    What is there.  `receive` returns what is waiting now, up to the limit; it waits only while there is nothing.
    Back-off.       `retry` brings a delivery back after the queue's delay for that attempt, one attempt further,
                    without holding a worker and without overtaking or delaying its neighbours.
    Dead letter.    `dead_letter` keeps the event in the dead queue with the reason in its headers, until a person
                    takes it out: `dead` hands dead letters out, `ack` discards one, `revive` gives it back to its
                    consumer from the first attempt, and what is left alone stays where it was.
    Own attempts.   Only a delivery's own retries count as its attempts; a crash of its receiver does not, but
                    shows in `deliveries`, so that a message that kills its receivers can be told from neighbours.
    Comes back.     After a broken connection or a restarted broker everything goes on by itself. Settling a
                    delivery of the broken connection does nothing: it is handed out again.
    Deadlines.      No call waits for ever: each has a deadline and then raises `BusUnavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from events.envelope import Envelope
from events.topology import Queue

REASON: Final = "kb-reason"
"""Header of a retried or dead message: why."""
ATTEMPT: Final = "kb-attempt"
"""Header of a retried or dead message: how many tries it had, plus one while it has another."""
QUEUE: Final = "kb-queue"
"""Header of a dead message: the queue it came from."""
DIED: Final = "kb-died"
"""Header of a dead message: when it was given up."""
MARKS: Final = (REASON, ATTEMPT, QUEUE, DIED)
MOST_DEAD: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delivery:
    """One message handed out once. Settle it with the `Subscription` it came from.

    Attributes:
        headers: as received; `Envelope.decode` reads them.
        body: the event's data.
        attempt: from 1; how many times it was tried and retried, plus one.
        deliveries: from 1; how many times it was handed out in this attempt.
        token: the adapter's own handle.
    """

    headers: Mapping[str, object]
    body: bytes
    attempt: int
    deliveries: int
    token: object


class Subscription(Protocol):
    """One receiver on one queue."""

    @property
    def active(self) -> bool:
        """Whether it receives now; False while it has no link to its queue."""

    @property
    def expected(self) -> int:
        """How many were waiting when it began, as far as anybody counted; 0 = `receive` does not wait for what is."""

    async def receive(self, *, limit: int, within: float) -> Sequence[Delivery]:
        """What is waiting, up to `limit`; an empty sequence when nothing came `within` seconds."""

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Done: take them off the queue. When this or another settlement raises, it is still held: try again."""

    async def retry(self, delivery: Delivery, *, reason: str) -> None:
        """Bring it back later, as the queue's ladder says, with its attempt counted up."""

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        """Keep it in the dead queue."""

    async def revive(self, delivery: Delivery) -> None:
        """Of a dead letter: put it into its consumer's queue again, from the first attempt, without its marks."""

    async def close(self) -> None:
        """Stop receiving; hand back what was not settled."""


class Bus(Protocol):
    """A broker."""

    @property
    def ready(self) -> bool:
        """Whether a publish would be tried now; False while the connection is down."""

    async def start(self, *, within: float) -> None:
        """Connect and declare all queues; go on trying in the background when that takes longer than `within`."""

    async def ping(self, *, within: float) -> None:
        """Return if the broker answers now. Raises `BusUnavailable`."""

    async def publish(self, envelopes: Sequence[Envelope], *, within: float) -> None:
        """Store the events: see the promises above."""

    async def subscribe(self, queue: Queue, *, prefetch: int) -> Subscription:
        """Receive from a declared queue; at most `prefetch` deliveries are held at a time."""

    async def dead(self, queue: Queue) -> Subscription:
        """Receive a queue's dead letters, oldest first, to look at, discard or revive them.

        At most `MOST_DEAD` at a time; they are nobody else's until `close`.
        """

    async def tail(self, patterns: Sequence[str]) -> Subscription:
        """Receive what is published from now on, on a queue of its own that goes away with the subscription."""

    async def close(self) -> None:
        """Let publishes in flight end, close all subscriptions, disconnect."""


def marks(delivery: Delivery, queue: Queue, reason: str) -> dict[str, object]:
    """The headers of what becomes a dead letter of this queue now."""
    return {
        ATTEMPT: delivery.attempt,
        REASON: reason,
        QUEUE: queue.name,
        DIED: datetime.now(UTC).isoformat(),
    }


def outgoing(envelope: Envelope) -> dict[str, str]:
    """The headers of an event that is published now."""
    return envelope.headers(published=datetime.now(UTC))
