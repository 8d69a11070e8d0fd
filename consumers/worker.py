"""The runtime of every consumer: take a batch, have it handled, settle each delivery.

Promises: a delivery is settled only after its effect is committed; the effect of a batch is one transaction; an
event that breaks a batch is found by halving and hurts nobody else; while the database or the broker is away the
worker waits and goes on by itself; a stop lets the batch in hand end, and what was not settled is handed out again,
so any replica may be killed at any moment. What a handler wants held stays unsettled in hand, and comes to it again.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog

from consumers import metrics
from consumers.outcome import DeadLetter, Done, Hold, Outcome, Retry, decide, where
from events.bus import REASON, Bus, Delivery, Subscription
from events.envelope import PREFIX, Envelope
from events.errors import BusUnavailable, Malformed
from events.topology import Queue
from schema.errors import DatabaseUnavailable

BATCH: Final = 500
PREFETCH: Final = 500
IDLE_SECONDS: Final = 0.5
WAIT_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
STOP_SECONDS: Final = 5.0
"""What is in hand at a stop may take so long; then it is dropped, and handed out again to somebody else."""
SUSPECT_DELIVERIES: Final = 3
"""Handed out more often than this without an end, a delivery may be what killed its receivers."""
SUSPECT_ATTEMPTS: Final = 15
"""Tries of a suspect before it is dead: some hours with the default ladder, for it may be merely unlucky."""
DIED: Final = "its receiver died"
"""The reason of a suspect's retries begins so: it stays one until it is done."""

Handle = Callable[[Sequence[Envelope]], Awaitable[Mapping[UUID, Exception | None]]]
"""Commit the effect of these events in one transaction, or raise and have no effect.

The result names the events that could not be handled, with the reason: `outcome.Refused`, `outcome.Postponed` or
any other error; `outcome.Held` for those it wants to see again soon; and with None those held before whose effect was
committed along with these. An event that was handled before is simply left out: it is done.
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One consumer at work.

    Attributes:
        concurrency: batches in hand at a time.
        prefetch: deliveries in hand at a time, held ones among them.
    """

    queue: Queue
    bus: Bus
    handle: Handle
    concurrency: int = 1
    prefetch: int = PREFETCH
    _held: dict[UUID, list[Delivery]] = field(default_factory=dict)
    _turns: list[tuple[float, UUID]] = field(default_factory=list)
    _subscriptions: list[Subscription] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Whether it receives from its queue now."""
        return any(subscription.active for subscription in self._subscriptions)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then end what is in hand, for `STOP_SECONDS` at most, and return."""
        subscription = await self.bus.subscribe(self.queue, prefetch=self.prefetch)
        self._subscriptions.append(subscription)
        log.info("consumer.started", consumer=self.queue.consumer, queue=self.queue.name)
        try:
            async with asyncio.TaskGroup() as group:
                hands = [group.create_task(self._work(subscription, stop)) for _ in range(self.concurrency)]
                group.create_task(_end(hands, stop))
        finally:
            self._subscriptions.remove(subscription)
            await subscription.close()
            log.info("consumer.stopped", consumer=self.queue.consumer)

    async def _work(self, subscription: Subscription, stop: asyncio.Event) -> None:
        while not stop.is_set():
            batch = self._due()
            if len(batch) < BATCH:
                patience = 0.0 if batch else self._patience()
                received = await subscription.receive(limit=BATCH - len(batch), within=patience)
                metrics.received(self.queue.consumer, received, datetime.now(UTC))
                batch += received
            suspects = [delivery for delivery in batch if suspect(delivery)]
            if rest := [delivery for delivery in batch if delivery not in suspects]:
                await self._process(subscription, rest, stop)
            for delivery in suspects:
                await self._process_alone(subscription, delivery, stop)

    def _due(self) -> list[Delivery]:
        """What was held long enough, a batch at most."""
        due: list[Delivery] = []
        while self._turns and self._turns[0][0] <= time.monotonic() and len(due) < BATCH:
            due += self._held.pop(heapq.heappop(self._turns)[1], ())
        return due

    def _patience(self) -> float:
        """How long to wait for something new, in seconds."""
        return min(IDLE_SECONDS, max(0.0, self._turns[0][0] - time.monotonic())) if self._turns else IDLE_SECONDS

    async def _process(self, subscription: Subscription, batch: Sequence[Delivery], stop: asyncio.Event) -> None:
        """Handle, then settle. The order of these two lines is the promise."""
        started = time.monotonic()
        outcomes: list[tuple[Delivery, Outcome]] = []
        for delivery, outcome in await self._outcomes(batch, stop):
            if isinstance(outcome, Hold):
                event_id = UUID(str(delivery.headers[f"{PREFIX}id"]))
                self._held.setdefault(event_id, []).append(delivery)  # one event may be handed out twice
                heapq.heappush(self._turns, (time.monotonic() + outcome.seconds, event_id))
            else:
                outcomes.append((delivery, outcome))
        await self._settle(subscription, outcomes, stop)
        self._say(outcomes, round((time.monotonic() - started) * 1000, 1))

    async def _process_alone(self, subscription: Subscription, delivery: Delivery, stop: asyncio.Event) -> None:
        """It may kill this process: first put it back with one more attempt, then try. If we live, the copy that
        comes later finds its effect done; if we die, its attempts have an end, and its neighbours lose none.
        """
        if delivery.deliveries == 1:  # the copy, at its first hand-out: alone, but like any other
            await self._process(subscription, [delivery], stop)
            return
        reason = f"{DIED} before it was settled, again and again"
        outcome: Outcome = Retry(reason)
        if delivery.attempt >= SUSPECT_ATTEMPTS:
            outcome = DeadLetter(f"gave up after {delivery.attempt} tries: {reason}")
        await self._settle(subscription, [(delivery, outcome)], stop)
        self._say([(delivery, outcome)], 0.0)
        if isinstance(outcome, Retry):
            along = [one for one in await self._outcomes([delivery], stop) if one[0] is not delivery]
            await self._settle(subscription, along, stop)
            self._say(along, 0.0)

    async def _outcomes(self, batch: Sequence[Delivery], stop: asyncio.Event) -> list[tuple[Delivery, Outcome]]:
        outcomes: list[tuple[Delivery, Outcome]] = []
        readable: list[tuple[Delivery, Envelope]] = []
        for delivery in batch:
            try:
                readable.append((delivery, Envelope.decode(delivery.headers, delivery.body)))
            except Malformed as error:
                outcomes.append((delivery, DeadLetter(f"malformed message: {error}")))
        if readable:
            errors = await self._handled([envelope for _, envelope in readable], stop)
            if errors is None:
                return outcomes
            for delivery, envelope in readable:
                outcomes.append((delivery, decide(errors.get(envelope.id), attempt=delivery.attempt)))
            along = [id_ for id_, error in errors.items() if error is None and id_ in self._held]
            outcomes += [(delivery, Done()) for id_ in along for delivery in self._held.pop(id_)]
        return outcomes

    async def _handled(
        self, envelopes: Sequence[Envelope], stop: asyncio.Event
    ) -> Mapping[UUID, Exception | None] | None:
        """Errors by event id; None when we were stopped while the database was away."""
        for failures in itertools.count():
            try:
                return await self.handle(envelopes)
            except DatabaseUnavailable as error:
                log.warning("consumer.waiting_for_database", consumer=self.queue.consumer, error=str(error))
                await _sleep(WAIT_SECONDS[min(failures, len(WAIT_SECONDS) - 1)], stop)
                if stop.is_set():
                    break
            except Exception as error:
                if len(envelopes) == 1:
                    log.warning("event.failed", consumer=self.queue.consumer, error=where(error))
                    return {envelopes[0].id: error}
                middle = len(envelopes) // 2
                first = await self._handled(envelopes[:middle], stop)
                second = await self._handled(envelopes[middle:], stop) if first is not None else None
                return None if first is None or second is None else {**first, **second}
        return None

    async def _settle(
        self, subscription: Subscription, outcomes: Sequence[tuple[Delivery, Outcome]], stop: asyncio.Event
    ) -> None:
        """Settle all of them, however long the broker takes: one that is not settled would be held for ever.

        After a lost connection that is no work, and the broker hands them out again; the inbox knows them.
        """
        left = list(outcomes)
        failures = 0
        while left:
            try:
                await _settle_some(subscription, left)
            except BusUnavailable as error:
                log.warning("delivery.unsettled", consumer=self.queue.consumer, left=len(left), error=str(error))
                await _sleep(WAIT_SECONDS[min(failures, len(WAIT_SECONDS) - 1)], stop)
                failures += 1
                if stop.is_set():
                    return

    def _say(self, outcomes: Sequence[tuple[Delivery, Outcome]], milliseconds: float) -> None:
        metrics.settled(self.queue.consumer, [outcome for _, outcome in outcomes], milliseconds / 1000)
        line = log.bind(consumer=self.queue.consumer, batch=len(outcomes), milliseconds=milliseconds)
        for delivery, outcome in outcomes:
            line.info(
                "event.settled",
                event_id=delivery.headers.get("cloudEvents_id"),
                type=delivery.headers.get("cloudEvents_type"),
                subject=delivery.headers.get("cloudEvents_subject"),
                integration_id=delivery.headers.get("cloudEvents_integrationid"),
                traceparent=delivery.headers.get("traceparent"),
                attempt=delivery.attempt,
                outcome=type(outcome).__name__,
                reason=getattr(outcome, "reason", None),
            )


async def _settle_some(subscription: Subscription, left: list[tuple[Delivery, Outcome]]) -> None:
    """Settle from the list, taking off what is settled. Raises `BusUnavailable`."""
    await subscription.ack([delivery for delivery, outcome in left if isinstance(outcome, Done)])
    left[:] = [(delivery, outcome) for delivery, outcome in left if not isinstance(outcome, Done)]
    while left:
        delivery, outcome = left[0]
        match outcome:
            case Retry(reason):
                await subscription.retry(delivery, reason=reason)
            case DeadLetter(reason):
                await subscription.dead_letter(delivery, reason=reason)
        del left[0]


async def _end(hands: Sequence[asyncio.Task[None]], stop: asyncio.Event) -> None:
    await stop.wait()
    await asyncio.wait(hands, timeout=STOP_SECONDS)
    for hand in hands:
        hand.cancel()


def suspect(delivery: Delivery) -> bool:
    """Whether a delivery may be what killed its receivers."""
    return delivery.deliveries > SUSPECT_DELIVERIES or str(delivery.headers.get(REASON, "")).startswith(DIED)


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
