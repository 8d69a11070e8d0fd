"""A collector of traces: a real OTLP/HTTP server on loopback that keeps what it is sent, and may be slow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a test asks of a span."""

    name: str
    service: str
    kind: int
    trace: str
    id: str
    parent: str
    links: list[str]
    attributes: dict[str, Any]
    failed: bool


@dataclass
class Collector:
    """What came in. `url` is for OTEL_EXPORTER_OTLP_ENDPOINT."""

    url: str = ""
    slow: threading.Event | None = None
    bodies: list[bytes] = field(default_factory=list)
    calls: int = 0

    @property
    def spans(self) -> list[Span]:
        """All spans so far."""
        found = []
        for body in list(self.bodies):
            for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = _values(of.resource.attributes)["service.name"]
                found += [_span(one, service) for scope in of.scope_spans for one in scope.spans]
        return found

    def trace(self, id_: str) -> list[Span]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace == id_]


def _span(one: Any, service: str) -> Span:
    return Span(
        name=one.name,
        service=service,
        kind=one.kind,
        trace=one.trace_id.hex(),
        id=one.span_id.hex(),
        parent=one.parent_span_id.hex(),
        links=[link.span_id.hex() for link in one.links],
        attributes=_values(one.attributes),
        failed=one.status.code == one.status.STATUS_CODE_ERROR,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def collecting(*, slow: bool = False) -> Iterator[Collector]:
    """A collector that serves while inside; a slow one answers nothing until the end."""
    collector = Collector(slow=threading.Event() if slow else None)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            collector.calls += 1
            if self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf":
                collector.bodies.append(self._body())
            if collector.slow is not None:
                collector.slow.wait()
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def _body(self) -> bytes:
            """Of the length that was announced, or in chunks, as Node's exporter sends it."""
            if length := self.headers["content-length"]:
                return self.rfile.read(int(length))
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            return b"".join(chunks)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        if collector.slow is not None:
            collector.slow.set()
        server.shutdown()
        server.server_close()
        thread.join()
