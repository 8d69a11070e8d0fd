"""OpenTelemetry: spans and their way to a collector. The only file that imports it.

Promises: no span has more than its caller gave it, and of an error only its kind: never its words, for they may quote
what was read; values are cut. Sending is somebody else's thread: what waits is bounded and the oldest of it dropped,
each try has its timeout, a collector that is away is one line in the log, and a stop waits `FLUSH_SECONDS` at most.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import structlog
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

FLUSH_SECONDS: Final = 2.0
SAY_SECONDS: Final = 60.0
MOST_CHARACTERS: Final = 128
"""Of an attribute's value, unless OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT says otherwise."""

SERVER, CLIENT, PRODUCER, CONSUMER = SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER
Span = trace.Span
Attributes = Mapping[str, str | int]

log = structlog.get_logger()


class Tracer:
    """Begins spans. Endpoint, sampler, queue and the rest are in the environment, under OpenTelemetry's own names."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        # what the library says of a collector that is away it says with each batch, and with each span of a full queue
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._sender = Sender(OTLPSpanExporter())
        limits = SpanLimits() if OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT in environment else _limits()
        self._provider = TracerProvider(resource=Resource.create(), shutdown_on_exit=False, span_limits=limits)
        self._provider.add_span_processor(BatchSpanProcessor(self._sender))
        self._tracer = self._provider.get_tracer("kb-ingest")
        self._propagator = TraceContextTextMapPropagator()

    def start(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        parent: object = None,
        also: Span | None = None,
    ) -> Span:
        """A span to be ended. `parent` is a traceparent or a span, and none if it is neither; `also` is linked to."""
        links = [Link(also.get_span_context())] if also is not None else ()
        return self._tracer.start_span(name, self._context(parent), kind, attributes, links, record_exception=False)

    def _context(self, parent: object) -> context.Context:
        if isinstance(parent, Span):
            return trace.set_span_in_context(parent, context.Context())
        carrier = {"traceparent": parent} if isinstance(parent, str) else {}
        return self._propagator.extract(carrier, context.Context())

    def flush(self) -> None:
        """Send what waits, unless the collector is away by all we know."""
        if self._sender.lost:
            return
        # in a thread that nobody waits for: the library's own flush takes no deadline
        sending = threading.Thread(target=self._provider.force_flush, name="last spans", daemon=True)
        sending.start()
        sending.join(FLUSH_SECONDS)


class Sender(SpanExporter):
    """Sends spans by another exporter, and says in one line that they cannot be sent, or can again.

    Attributes:
        lost: how many were lost since the collector last took some.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._silent_until = 0.0
        self._said = False
        self.lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter`."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self.lost += len(spans)
            if not self._said and time.monotonic() >= self._silent_until:
                self._said, self._silent_until = True, time.monotonic() + SAY_SECONDS
                log.warning("traces.unsent", why="the collector is away, slow or refuses them; everything else goes on")
        else:
            if self._said:
                log.info("traces.sent_again", lost=self.lost)
            self._said, self.lost = False, 0
        return result

    def shutdown(self) -> None:
        """See `SpanExporter`."""
        self._exporter.shutdown()


def _limits() -> SpanLimits:
    return SpanLimits(max_attribute_length=MOST_CHARACTERS)


def traceparent(span: Span) -> str:
    """A span's W3C trace context."""
    at = span.get_span_context()
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"


def current() -> Span | None:
    """The span that we are in, if it is kept; None if it is over, too."""
    span = trace.get_current_span()
    return span if span.is_recording() else None


@contextmanager
def inside(span: Span) -> Iterator[None]:
    """Be in a span: what begins here and asks for the current one gets it."""
    token = context.attach(trace.set_span_in_context(span))
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def ending(*spans: Span) -> Iterator[None]:
    """End these spans with the block, and tell them the kind of what broke it."""
    try:
        yield
    except BaseException as error:
        for span in spans:
            fail(span, type(error).__name__)
        raise
    finally:
        for span in spans:
            span.end()


def fail(span: Span, kind: str) -> None:
    """Mark a span as failed."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))
