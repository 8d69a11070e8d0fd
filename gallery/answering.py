"""Around every request: a bound on its body, headers that keep browsers safe, a count, one log line without secrets."""

from __future__ import annotations

import time
from typing import Final
from uuid import uuid4

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gallery import metrics
from gallery.problems import Problem

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "x-frame-options": "DENY",
}
MAX_BODY: Final = 1024 * 1024
NUL: Final = Problem("invalid-request", "the address contains NUL")
QUIET: Final = ("/healthz", "/readyz", "/metrics", "/static/")

log = structlog.get_logger()


class Answering:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers, count, and write the line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, request_id, octets = time.monotonic(), 500, uuid4().hex, 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                headers["x-request-id"] = request_id
            await send(message)

        async def bounded() -> Message:
            nonlocal octets
            message = await receive()
            octets += len(message.get("body", b""))
            if octets > MAX_BODY:
                raise HTTPException(413)
            return message

        try:
            if "\x00" in scope["path"] or b"%00" in scope["query_string"] or b"\x00" in scope["query_string"]:
                await NUL.response()(scope, receive, answer)  # no name has it, and PostgreSQL takes it in no text
                return
            await self._app(scope, bounded, answer)
        finally:
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "none")
            metrics.answered(route, scope["method"], status, seconds)
            if not scope["path"].startswith(QUIET):
                who = scope.get("kb.principal")
                log.info(
                    "gallery.request",
                    request_id=request_id,
                    method=scope["method"],
                    route=route,
                    status=status,
                    principal=who.subject if who else None,
                    client=scope["client"][0] if scope.get("client") else None,
                    milliseconds=round(seconds * 1000, 1),
                )
