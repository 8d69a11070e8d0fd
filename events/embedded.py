"""The bus in PostgreSQL: the embedded default, and the spool that takes events while RabbitMQ is away.

It keeps the promises of `bus.py`. A message is a row; taking it is a lease (`SKIP LOCKED`, renewed while the taker
lives), so a taker that dies needs nobody to notice; `LISTEN/NOTIFY` only shortens the wait for the next look.
"""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Sequence
from typing import Final, cast

import structlog

from events import metrics
from events.bus import ATTEMPT, MARKS, MOST_DEAD, REASON, Delivery, Subscription, marks, outgoing
from events.envelope import Envelope
from events.errors import BusUnavailable, Unroutable
from events.gathering import Gathering
from events.topology import QUEUES, Queue, regex
from schema.errors import DatabaseUnavailable
from schema.postgres import Database

CALL_SECONDS: Final = 5.0
PUT_SECONDS: Final = 2.0
LEASE_SECONDS: Final = 15.0
POLL_SECONDS: Final = 1.0
TAIL_SECONDS: Final = 60.0

log = structlog.get_logger()


class Embedded:
    """A `Bus` in PostgreSQL 13 or later. The database belongs to the caller, who closes it."""

    def __init__(self, database: Database, *, queues: Sequence[Queue] = QUEUES, lease: float = LEASE_SECONDS) -> None:
        self._database = database
        self._queues = queues
        self._lease = lease
        self._declared = asyncio.Event()
        self._waiting: dict[str, asyncio.Event] = {}
        self._known: set[str] = set()
        self._puts: dict[str, Gathering[Envelope]] = {}
        self._subscriptions: set[EmbeddedSubscription] = set()
        self._starting: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the queues are there; a publish says whether the database is."""
        return self._declared.is_set()

    async def start(self, *, within: float) -> None:
        """See `Bus.start`."""
        self._database.listen("kb_queue", self._heard)
        self._starting = asyncio.create_task(self._declare(), name="embedded bus")
        await asyncio.wait([self._starting], timeout=within)

    async def _declare(self) -> None:
        while not self._declared.is_set():
            try:
                for queue in self._queues:
                    await self._declare_queue(queue)
                self._declared.set()
            except DatabaseUnavailable as error:
                log.warning("embedded_bus.unreachable", error=str(error))
                await asyncio.sleep(POLL_SECONDS)

    async def _declare_queue(self, queue: Queue) -> None:
        async with self._database.transaction() as transaction:
            for name in (queue.name, queue.dead):
                await transaction.execute("queue_declare", name, None)
            await transaction.execute(
                "queue_bind", queue.name, list(queue.bindings), [regex(pattern) for pattern in queue.bindings]
            )

    async def ping(self, *, within: float) -> None:
        """See `Bus.ping`."""
        try:
            await self._database.fetchrow("queue_ping", within=within)
        except DatabaseUnavailable as error:
            raise BusUnavailable(str(error)) from error

    async def depth(self, queue: Queue, *, within: float) -> tuple[int, float]:
        """How many messages wait in a queue, and how many seconds the oldest has. Raises `BusUnavailable`."""
        try:
            row = await self._database.fetchrow("queue_depth", queue.name, within=within)
        except DatabaseUnavailable as error:
            raise BusUnavailable(str(error)) from error
        assert row is not None  # noqa: S101  an aggregate has one row
        return row["messages"], row["oldest_seconds"]

    @metrics.timed("database")
    async def publish(self, envelopes: Sequence[Envelope], *, within: float) -> None:
        """See `Bus.publish`: one transaction stores all of them, or none."""
        if not self._declared.is_set():
            raise BusUnavailable("PostgreSQL was not reached yet")
        try:
            async with self._database.transaction(within=within) as transaction:
                rows = await transaction.fetch(
                    "queue_publish",
                    [envelope.routing_key for envelope in envelopes],
                    [outgoing(envelope) for envelope in envelopes],
                    [envelope.data for envelope in envelopes],
                )
                routed = {row["position"] for row in rows}
                for position, envelope in enumerate(envelopes, start=1):
                    if position not in routed:
                        raise Unroutable(f"no queue is bound for {envelope.routing_key!r}")
        except DatabaseUnavailable as error:
            raise BusUnavailable(str(error)) from error

    @metrics.timed("spool")
    async def put(self, queue: Queue, envelopes: Sequence[Envelope], *, within: float) -> None:
        """Store events in one queue by name, past the bindings. Raises `BusUnavailable` like `publish`.

        Whoever comes while others are being stored is stored together with the next ones.
        """
        if queue.name not in self._puts:
            self._puts[queue.name] = Gathering(functools.partial(self._put, queue))
        await self._puts[queue.name].put(envelopes, within=within)

    async def _put(self, queue: Queue, envelopes: Sequence[Envelope]) -> None:
        try:
            async with self._database.transaction(within=PUT_SECONDS) as transaction:
                if queue.name not in self._known:  # each time it would lock the queue's row against all others
                    for name in (queue.name, queue.dead):
                        await transaction.execute("queue_declare", name, None)
                headers, bodies = [envelope.headers() for envelope in envelopes], [one.data for one in envelopes]
                await transaction.fetch("queue_put", queue.name, headers, bodies)
            self._known.add(queue.name)
        except DatabaseUnavailable as error:
            raise BusUnavailable(str(error)) from error

    async def subscribe(self, queue: Queue, *, prefetch: int) -> Subscription:
        """See `Bus.subscribe`."""
        return self._add(EmbeddedSubscription(self, queue.name, prefetch=prefetch, queue=queue))

    async def dead(self, queue: Queue) -> Subscription:
        """See `Bus.dead`."""
        return self._add(EmbeddedSubscription(self, queue.dead, prefetch=MOST_DEAD, queue=queue))

    async def tail(self, patterns: Sequence[str]) -> Subscription:
        """See `Bus.tail`."""
        name = f"kb.tail.{uuid.uuid4()}"
        async with self._database.transaction() as transaction:
            await transaction.execute("queue_expire")
            await transaction.execute("queue_declare", name, TAIL_SECONDS)
            await transaction.execute("queue_bind", name, list(patterns), [regex(pattern) for pattern in patterns])
        return self._add(EmbeddedSubscription(self, name, prefetch=1000, expires=TAIL_SECONDS))

    def _add(self, subscription: EmbeddedSubscription) -> EmbeddedSubscription:
        self._subscriptions.add(subscription)
        return subscription

    def _heard(self, queue: str) -> None:
        for name, event in self._waiting.items():
            if queue in ("", name):
                event.set()

    async def close(self) -> None:
        """See `Bus.close`."""
        for subscription in self._subscriptions:
            await subscription.close()
        for gathering in self._puts.values():
            await gathering.close()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)


class EmbeddedSubscription:
    """A `Subscription`: leases on rows, renewed until they are settled."""

    def __init__(
        self, bus: Embedded, name: str, *, prefetch: int, queue: Queue | None = None, expires: float | None = None
    ) -> None:
        self._bus = bus
        self._database = bus._database  # noqa: SLF001  one adapter in one file
        self._name = name
        self._queue = queue
        self._prefetch = prefetch
        self._expires = expires
        self._lease = uuid.uuid4()
        self._held: set[int] = set()
        self._event = bus._waiting.setdefault(name, asyncio.Event())  # noqa: SLF001
        self._renewer = asyncio.create_task(self._renew(), name=f"leases {name}")

    @property
    def active(self) -> bool:
        """See `Subscription.active`: a queue that was reached once is asked again and again."""
        return self._bus.ready

    @property
    def expected(self) -> int:
        """See `Subscription.expected`: one look finds whatever there is."""
        return 0

    async def receive(self, *, limit: int, within: float) -> Sequence[Delivery]:
        """See `Subscription.receive`."""
        deadline = asyncio.get_running_loop().time() + within
        while True:
            self._event.clear()
            if batch := await self._take(min(limit, self._prefetch - len(self._held))):
                return batch
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return []
            try:
                async with asyncio.timeout(min(left, POLL_SECONDS)):
                    await self._event.wait()
            except TimeoutError:
                continue

    async def _take(self, limit: int) -> list[Delivery]:
        if limit < 1:
            return []
        try:
            rows = await self._database.fetch(
                "queue_take",
                self._name,
                self._lease,
                limit,
                self._bus._lease,  # noqa: SLF001
                within=CALL_SECONDS,
            )
        except DatabaseUnavailable as error:
            log.warning("embedded_bus.unreachable", queue=self._name, error=str(error))
            return []
        self._held.update(row["id"] for row in rows)
        return [
            Delivery(
                headers=row["headers"],
                body=row["body"],
                attempt=row["attempt"],
                deliveries=row["deliveries"],
                token=row["id"],
            )
            for row in rows
        ]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Subscription.ack`."""
        await self._settle("queue_ack", deliveries, self._lease, [delivery.token for delivery in deliveries])

    async def retry(self, delivery: Delivery, *, reason: str) -> None:
        """See `Subscription.retry`."""
        assert self._queue is not None  # noqa: S101  a tail has nothing to retry
        attempt = delivery.attempt + 1
        delay = self._queue.delay(delivery.attempt - 1)
        await self._move(delivery, self._name, {REASON: reason, ATTEMPT: attempt}, attempt, delay)

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        """See `Subscription.dead_letter`."""
        assert self._queue is not None  # noqa: S101  a tail has nothing to dead-letter
        headers = marks(delivery, self._queue, reason)
        await self._move(delivery, self._queue.dead, headers, delivery.attempt, 0.0)

    async def revive(self, delivery: Delivery) -> None:
        """See `Subscription.revive`."""
        assert self._queue is not None  # noqa: S101  a tail has nothing dead
        await self._settle("queue_revive", [delivery], self._lease, delivery.token, self._queue.name, list(MARKS))

    async def _move(
        self, delivery: Delivery, queue: str, headers: dict[str, object], attempt: int, delay: float
    ) -> None:
        await self._settle("queue_move", [delivery], self._lease, delivery.token, queue, headers, attempt, delay)

    async def _settle(self, statement: str, deliveries: Sequence[Delivery], *arguments: object) -> None:
        try:
            await self._database.execute(statement, *arguments, within=CALL_SECONDS)
        except DatabaseUnavailable as error:
            raise BusUnavailable(str(error)) from error
        self._held.difference_update(cast("int", delivery.token) for delivery in deliveries)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._bus._lease / 3)  # noqa: SLF001
            try:
                if self._held:
                    await self._database.execute("queue_renew", self._lease, self._bus._lease, list(self._held))  # noqa: SLF001
                if self._expires is not None:
                    await self._database.execute("queue_declare", self._name, self._expires)
            except DatabaseUnavailable as error:
                log.warning("embedded_bus.leases_not_renewed", queue=self._name, error=str(error))

    async def close(self) -> None:
        """See `Subscription.close`."""
        self._renewer.cancel()
        await asyncio.gather(self._renewer, return_exceptions=True)
        try:
            if self._expires is not None:
                await self._database.execute("queue_declare", self._name, 0.0, within=1)
            elif self._held:
                await self._database.execute("queue_release", self._lease, list(self._held), within=1)
        except DatabaseUnavailable:
            log.warning("embedded_bus.leases_left_to_run_out", queue=self._name, messages=len(self._held))
        self._held.clear()
