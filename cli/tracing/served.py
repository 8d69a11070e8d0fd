"""Ingest with a span around each delivery."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cli.tracing.spans import SERVER, Tracer, fail, traceparent
from events.envelope import TRACEPARENT
from ingest.app import DELIVERY


class Served:
    """Ingest: a span for each delivery but the refused ones, which anybody can send, and as many as they like."""

    def __init__(self, application: ASGIApp, tracer: Tracer) -> None:
        self._application = application
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan, at whose end the last spans are sent."""
        if scope["type"] == "http" and scope["method"] == "POST" and (found := DELIVERY.fullmatch(scope["path"])):
            route = "/webhooks/{provider}" + ("/{integration_id}" if found["integration_id"] is not None else "")
            await self._deliver(scope, receive, send, route)
            return

        async def flushing(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                await asyncio.to_thread(self._tracer.flush)
            await send(message)

        await self._application(scope, receive, flushing if scope["type"] == "lifespan" else send)

    async def _deliver(self, scope: Scope, receive: Receive, send: Send, route: str) -> None:
        attributes = {"http.request.method": "POST", "http.route": route, "url.scheme": str(scope["scheme"])}
        given = dict(reversed(scope["headers"])).get(TRACEPARENT.encode(), b"").decode("latin-1")
        span = self._tracer.start(f"POST {route}", SERVER, attributes, parent=given)
        answered = 0

        async def noting(message: Message) -> None:
            nonlocal answered
            answered = message.get("status", answered)
            await send(message)

        ours = (TRACEPARENT.encode(), traceparent(span).encode())
        try:
            await self._application({**scope, "headers": [ours, *scope["headers"]]}, receive, noting)
        finally:
            if answered:
                span.set_attribute("http.response.status_code", answered)
            if not 200 <= answered < 500:
                fail(span, str(answered) if answered else "no answer")
            if not 400 <= answered < 500:  # a span that is not ended is not sent
                span.end()
