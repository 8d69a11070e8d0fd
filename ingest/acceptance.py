"""Durable acceptance: an event is stored by the broker, else by the spool, else nobody says it was accepted.

Promises: `accept` returns only after a broker's confirm or the spool's commit, and never takes longer than told;
after a failure nobody's request tries the broker until it has answered a ping, so that a silent one costs only those
their time who were under way; what was spooled is published in order when the broker is back, with the ids it had;
a full spool takes nothing, so that an outage of the broker never fills the disk of the database that everything else
needs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from events.bus import Bus, Delivery, Subscription
from events.embedded import Embedded
from events.envelope import Envelope
from events.errors import BusError, BusUnavailable, Nacked, Unroutable
from events.topology import SPOOL
from ingest import metrics

BROKER_SECONDS: Final = 1.5
SPOOL_SECONDS: Final = 3.0
PAUSE_SECONDS: Final = 1.0
PING_SECONDS: Final = 1.0
DRAIN_BATCH: Final = 200
DRAIN_TRIES: Final = 3
DRAIN_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)
SPOOL_MAX: Final = 2_000_000
"""Events, as many as a queue of RabbitMQ takes. Past it ClickUp is told to come again, and a sync catches up."""
COUNT_SECONDS: Final = 10.0
COUNT_SHARE: Final = 20
"""Counting millions takes a moment: it is done again after so many times as long as it took, at the earliest."""
LOOK_SECONDS: Final = 0.5
"""However often strangers ask whether we are ready, and for metrics, stores are asked this often at most."""

log = structlog.get_logger()


class SpoolFull(BusUnavailable):
    """The broker does not take events and the spool has as many as it may."""


class Acceptor:
    """Stores events. `spool` is None where the bus itself rests in PostgreSQL: there is nothing to fall back on.

    The spool's bound is kept by a count taken now and then, and what this process adds in between: with other
    processes beside it there may be a few seconds' worth more.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        spool: Embedded | None,
        spool_max: int = SPOOL_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._spool = spool
        self._spool_max = spool_max
        self._spooled = 0
        self._count_from = self._look_from = 0.0
        self._able = False
        self._monotonic = monotonic
        self._well = asyncio.Event()
        self._well.set()
        self._tasks: list[asyncio.Task[None]] = []

    async def accept(self, envelope: Envelope, *, within: float) -> str:
        """Store an event within that many seconds; where: `broker` or `spool`.

        Raises:
            BusUnavailable: neither could store it in time.
            SpoolFull: one of these; nothing was wrong but the spool's bound.
        """
        if within <= 0:
            raise BusUnavailable("the delivery took too long to arrive")
        started = self._monotonic()
        if self._broker_may_be_asked():
            try:
                await self._bus.publish([envelope], within=min(BROKER_SECONDS, within))
            except BusError as error:
                self._doubt(error)
                if self._spool is None:
                    raise BusUnavailable(str(error)) from error
            else:
                metrics.stored("broker").inc()
                return "broker"
        left = within - (self._monotonic() - started)
        if self._spool is None or left <= 0:
            raise BusUnavailable("the broker is not to be had")
        if self.full:
            raise SpoolFull(f"the spool has {self._spooled} events, and may have {self._spool_max}")
        await self._spool.put(SPOOL, [envelope], within=min(SPOOL_SECONDS, left))
        self._spooled += 1
        metrics.stored("spool").inc()
        return "spool"

    def _broker_may_be_asked(self) -> bool:
        if self._spool is None:
            return True
        return self._bus.ready and self._well.is_set()

    def _doubt(self, error: BusError) -> None:
        """Leave the broker alone until it answers."""
        if self._well.is_set():
            log.warning("ingest.broker_failed", error=str(error))
        self._well.clear()

    async def _probe(self) -> None:
        while True:
            if not self._well.is_set():
                with suppress(BusUnavailable):
                    await self._bus.ping(within=PING_SECONDS)
                    self._well.set()
            await asyncio.sleep(PAUSE_SECONDS)

    @property
    def full(self) -> bool:
        """Whether the spool has as many events as it may."""
        return self._spooled >= self._spool_max

    async def able(self) -> bool:
        """Whether an event could be stored now: the broker answers, or the database does and the spool has room."""
        if self._monotonic() >= self._look_from:
            self._look_from = self._monotonic() + PING_SECONDS  # others that ask meanwhile get the last answer
            self._able = await self._answers()
            self._look_from = self._monotonic() + LOOK_SECONDS
        return self._able

    async def _answers(self) -> bool:
        for store in (self._bus if self._bus.ready else None, None if self.full else self._spool):
            with suppress(BusUnavailable):
                if store is not None:
                    await store.ping(within=PING_SECONDS)
                    return True
        return False

    async def measure(self) -> None:
        """Look how much is spooled; while the database is away the last look stands."""
        started = self._monotonic()
        if self._spool is None or started < self._count_from:
            return
        self._count_from = started + COUNT_SECONDS
        with suppress(BusUnavailable):
            self._spooled, oldest_seconds = await self._spool.depth(SPOOL, within=COUNT_SECONDS)
            metrics.spool(self._spooled, oldest_seconds, self._spool_max)
        took = self._monotonic() - started
        self._count_from = started + took + max(LOOK_SECONDS, COUNT_SHARE * took)

    def start(self) -> None:
        """Begin draining the spool, counting it, and asking a broker that failed whether it is back."""
        if self._spool is not None:
            kept: dict[str, Callable[[], Awaitable[None]]] = {
                "spool": partial(self._drain, self._spool),
                "spool's count": self._count,
                "broker's probe": self._probe,
            }
            self._tasks = [asyncio.create_task(_kept(work, name), name=name) for name, work in kept.items()]

    async def _count(self) -> None:
        while True:
            await self.measure()
            await asyncio.sleep(COUNT_SECONDS)

    async def _drain(self, spool: Embedded) -> None:
        subscription = await spool.subscribe(SPOOL, prefetch=DRAIN_BATCH)
        failures = 0
        try:
            while True:
                await self._well.wait()
                batch = await subscription.receive(limit=DRAIN_BATCH, within=PAUSE_SECONDS)
                while batch:
                    taken, refused = await self._publish(batch)
                    if taken:
                        self._spooled = max(0, self._spooled - len(taken))
                        await _settle(subscription, taken, refused)
                        batch, failures = [one for one in batch if one not in taken and one not in refused], 0
                        continue
                    log.info("ingest.spool_waiting", events=len(batch))
                    await asyncio.sleep(DRAIN_SECONDS[min(failures, len(DRAIN_SECONDS) - 1)])
                    await self._well.wait()
                    failures += 1
        finally:
            await subscription.close()

    async def _publish(self, batch: Sequence[Delivery]) -> tuple[set[Delivery], set[Delivery]]:
        """Publish in order; what the broker took, and what it refused. Once it refuses, one by one, so that no event
        holds another; when it does not answer, that is no event's fault.
        """
        events = {delivery: Envelope.decode(delivery.headers, delivery.body) for delivery in batch}
        taken: set[Delivery] = set()
        refused: set[Delivery] = set()
        try:
            await self._bus.publish(list(events.values()), within=2 * BROKER_SECONDS)
            return set(batch), refused
        except (Nacked, Unroutable):
            pass
        except BusUnavailable as error:
            self._doubt(error)
            return taken, refused
        for delivery, event in events.items():
            if len(refused) >= DRAIN_TRIES and not taken:
                break  # it is not the events
            try:
                await self._bus.publish([event], within=2 * BROKER_SECONDS)
                taken.add(delivery)
            except (Nacked, Unroutable):
                refused.add(delivery)
            except BusUnavailable as error:
                self._doubt(error)
                break
        return taken, refused

    async def close(self) -> None:
        """Stop draining; what was not published stays in the spool."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _kept(work: Callable[[], Awaitable[None]], name: str) -> None:
    """Whatever ends it, it begins again: without it nothing would leave the spool, or nobody ask the broker again."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("ingest.began_again", what=name)
        await asyncio.sleep(PAUSE_SECONDS)


async def _settle(subscription: Subscription, taken: set[Delivery], refused: set[Delivery]) -> None:
    """What was published is done; what the broker alone refused waits on the ladder. Else: once more, same ids."""
    with suppress(BusUnavailable):
        await subscription.ack(list(taken))
        for delivery in refused:
            log.warning("ingest.spool_refused", event_id=delivery.headers.get("cloudEvents_id"))
            await subscription.retry(delivery, reason="the broker refuses this event and takes others")
    log.info("ingest.spool_drained", events=len(taken))
