"""Publishing, processing and settling, with spans named as OpenTelemetry's conventions for messaging have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from cli.tracing.spans import CLIENT, CONSUMER, PRODUCER, Attributes, Span, Tracer, ending, fail, inside, traceparent
from consumers.outcome import Held
from consumers.worker import Handle
from events.bus import Bus, Delivery, Subscription
from events.embedded import Embedded
from events.envelope import PREFIX, TRACEPARENT, Envelope
from events.topology import EXCHANGE, Queue
from schema.postgres import Database


class Publishing:
    """A `publish` span for each event, which the message then names as what it comes from."""

    def __init__(self, tracer: Tracer, broker: str, where: str) -> None:
        self._tracer = tracer
        self._where = where
        self._attributes = _of_message(broker, "publish", "send", where)

    @contextmanager
    def of(self, envelopes: Sequence[Envelope]) -> Iterator[Sequence[Envelope]]:
        """The events as they are to be published while inside."""
        spans = [
            self._tracer.start(
                f"publish {self._where}",
                PRODUCER,
                {**self._attributes, **_of_event(one.id, one.type, one.integration_id)},
                parent=one.traceparent,
            )
            for one in envelopes
        ]
        with ending(*spans):
            yield [replace(one, traceparent=traceparent(span)) for one, span in zip(envelopes, spans, strict=True)]


class TracedBus:
    """A `Bus` with spans for publishing and settling."""

    def __init__(self, bus: Bus, tracer: Tracer, broker: str) -> None:
        self._bus = bus
        self._tracer = tracer
        self._broker = broker
        self._publishing = Publishing(tracer, broker, EXCHANGE)

    @property
    def ready(self) -> bool:
        """See `Bus.ready`."""
        return self._bus.ready

    async def start(self, *, within: float) -> None:
        """See `Bus.start`."""
        await self._bus.start(within=within)

    async def ping(self, *, within: float) -> None:
        """See `Bus.ping`."""
        await self._bus.ping(within=within)

    async def publish(self, envelopes: Sequence[Envelope], *, within: float) -> None:
        """See `Bus.publish`."""
        with self._publishing.of(envelopes) as published:
            await self._bus.publish(published, within=within)

    async def subscribe(self, queue: Queue, *, prefetch: int) -> Subscription:
        """See `Bus.subscribe`."""
        subscription = await self._bus.subscribe(queue, prefetch=prefetch)
        return TracedSubscription(subscription, queue.name, self._tracer, self._broker)

    async def dead(self, queue: Queue) -> Subscription:
        """See `Bus.dead`."""
        return await self._bus.dead(queue)

    async def tail(self, patterns: Sequence[str]) -> Subscription:
        """See `Bus.tail`."""
        return await self._bus.tail(patterns)

    async def close(self) -> None:
        """See `Bus.close`."""
        await self._bus.close()


class TracedSubscription:
    """A `Subscription` with a `settle` span for each delivery."""

    def __init__(self, subscription: Subscription, name: str, tracer: Tracer, broker: str) -> None:
        self._subscription = subscription
        self._name = name
        self._tracer = tracer
        self._attributes = _of_message(broker, "settle", "settle", name)

    @property
    def active(self) -> bool:
        """See `Subscription.active`."""
        return self._subscription.active

    @property
    def expected(self) -> int:
        """See `Subscription.expected`."""
        return self._subscription.expected

    async def receive(self, *, limit: int, within: float) -> Sequence[Delivery]:
        """See `Subscription.receive`."""
        return await self._subscription.receive(limit=limit, within=within)

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Subscription.ack`."""
        with ending(*[self._settle(delivery, "ack") for delivery in deliveries]):
            await self._subscription.ack(deliveries)

    async def retry(self, delivery: Delivery, *, reason: str) -> None:
        """See `Subscription.retry`."""
        with ending(self._settle(delivery, "retry")):
            await self._subscription.retry(delivery, reason=reason)

    async def dead_letter(self, delivery: Delivery, *, reason: str) -> None:
        """See `Subscription.dead_letter`."""
        with ending(self._settle(delivery, "dead_letter")):
            await self._subscription.dead_letter(delivery, reason=reason)

    async def revive(self, delivery: Delivery) -> None:
        """See `Subscription.revive`."""
        await self._subscription.revive(delivery)

    async def close(self) -> None:
        """See `Subscription.close`."""
        await self._subscription.close()

    def _settle(self, delivery: Delivery, how: str) -> Span:
        headers = delivery.headers
        of_event = _of_event(*(headers.get(PREFIX + name) for name in ("id", "type", "integrationid")))
        attributes = {**self._attributes, **of_event, "kb.settled": how, "kb.attempt": delivery.attempt}
        return self._tracer.start(f"settle {self._name}", CLIENT, attributes, parent=headers.get(TRACEPARENT))


class TracedSpool(Embedded):
    """A spool with a `publish` span for each event that is put there."""

    def __init__(self, database: Database, tracer: Tracer) -> None:
        super().__init__(database)
        self._tracer = tracer

    async def put(self, queue: Queue, envelopes: Sequence[Envelope], *, within: float) -> None:
        """See `Embedded.put`."""
        with Publishing(self._tracer, "postgresql", queue.name).of(envelopes) as published:
            await super().put(queue, published, within=within)


class TracedHandle:
    """A handler with a `process` span for each event, in the trace of that event.

    One span a batch with links to its messages, which the conventions have too, would end each delivery's trace at the
    broker. What a batch does once for all, transactions and calls, is below the first event that sampling left in; the
    others link to that.
    """

    def __init__(self, handle: Handle, name: str, tracer: Tracer, broker: str) -> None:
        self._handle = handle
        self._name = name
        self._tracer = tracer
        self._attributes = _of_message(broker, "process", "process", name)

    async def __call__(self, batch: Sequence[Envelope]) -> Mapping[UUID, Exception | None]:
        """See `Handle`."""
        spans: list[Span] = []
        for one in batch:
            spans.append(self._begin(one, of=len(batch), first=_kept(spans)))
        with ending(*spans):
            with inside(_kept(spans) or spans[0]):
                errors = await self._handle(
                    [replace(one, traceparent=traceparent(span)) for one, span in zip(batch, spans, strict=True)]
                )
            for one, span in zip(batch, spans, strict=True):
                match errors.get(one.id):
                    case None:
                        span.set_attribute("kb.outcome", "done")
                    case Held():
                        span.set_attribute("kb.outcome", "held")
                    case error:
                        span.set_attribute("kb.outcome", "failed")
                        fail(span, type(error).__name__)
        return errors

    def _begin(self, one: Envelope, *, of: int, first: Span | None) -> Span:
        attributes: Attributes = {
            **self._attributes,
            **_of_event(one.id, one.type, one.integration_id),
            "messaging.batch.message_count": of,
        }
        return self._tracer.start(f"process {self._name}", CONSUMER, attributes, parent=one.traceparent, also=first)


def _kept(spans: Sequence[Span]) -> Span | None:
    """The first that sampling left in."""
    return next((span for span in spans if span.is_recording()), None)


def _of_message(broker: str, operation: str, kind: str, where: str) -> dict[str, str | int]:
    return {
        "messaging.system": broker,
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": where,
    }


def _of_event(id_: object, type_: object, integration_id: object) -> dict[str, str | int]:
    return {
        "cloudevents.event_id": str(id_),
        "cloudevents.event_type": str(type_),
        "kb.integration.id": str(integration_id),
    }
