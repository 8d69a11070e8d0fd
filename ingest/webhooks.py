"""POST /webhooks/{provider}/{integration_id} and POST /webhooks/{provider}: one delivery in, one answer out.

Promises: the signature is checked over the raw bytes before anything is parsed; a genuine byte is stored or answered
503, never refused; an answer within five seconds; never 401, 410 or a redirect, which would make ClickUp suspend or
lose the hook (ClickUp's webhook health page, official).
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from events.envelope import TRACEPARENT, Envelope, derived_id, trace_context
from events.errors import BusUnavailable
from ingest import metrics
from ingest.acceptance import Acceptor, SpoolFull
from ingest.bodies import Bodies
from ingest.refusals import (
    BAD_SIGNATURE,
    NOT_LOADED,
    SECRET_UNUSABLE,
    SPOOL_FULL,
    UNAVAILABLE,
    UNKNOWN_INTEGRATION,
    UNKNOWN_PROVIDER,
    Refusal,
    Sparing,
)
from ingest.snapshot import Known, Secrets, Snapshot
from integrations.registry import Provider, providers

ANSWER_SECONDS: Final = 4.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """The endpoint, with what it needs."""

    secrets: Secrets
    acceptor: Acceptor
    bodies: Bodies
    now: Callable[[], datetime]
    sparing: Sparing = field(default_factory=Sparing)
    log: structlog.typing.FilteringBoundLogger = field(default_factory=lambda: structlog.get_logger().bind())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery, count it and say it in one line; of what anybody can send, so many lines a minute."""
        started = time.monotonic()
        said: dict[str, object] = {}
        try:
            status, headers, content = 200, None, await self._answer(scope, receive, started, said)
        except Refusal as refusal:
            said["outcome"], status, headers = refusal.reason
            content = {"error": refusal.reason.outcome}
        await _send(send, status, headers, orjson.dumps(content))
        seconds = time.monotonic() - started
        metrics.answered(str(said["outcome"]), status, seconds)
        if "integration_id" not in said:
            if (left_out := self.sparing.left_out(str(said["outcome"]))) is None:
                return
            said |= {"left_out": left_out} if left_out else {}
        self.log.info("event.received", status=status, milliseconds=round(seconds * 1000, 1), **said)

    async def _answer(
        self, scope: Scope, receive: Receive, started: float, said: dict[str, object]
    ) -> Mapping[str, str]:
        """From raw bytes to a stored event. Raises `Refusal`."""
        named: Mapping[str, Any] = scope["path_params"]
        provider = providers().get(named["provider"])
        if provider is None:
            raise Refusal(UNKNOWN_PROVIDER)
        if (snapshot := self.secrets.current) is None:
            raise Refusal(NOT_LOADED)
        headers = dict(reversed(scope["headers"]))  # of several with one name, the first
        body = await self.bodies.read(scope, headers.get(b"content-length", b""), receive)
        now = self.now()
        candidates = _candidates(named.get("integration_id"), provider, snapshot, body)
        signature = headers.get(provider.signature_header.encode(), b"")
        known = identify(candidates, body, signature, provider=provider, now=now)
        said |= {"bytes": len(body), "integration_id": str(known.id)}
        if not known.enabled:
            said["outcome"] = "ignored"
            return {"status": "ignored"}
        traceparent = headers.get(TRACEPARENT.encode(), b"").decode("latin-1")
        envelope = wrap(body, provider=provider, known=known, now=now, traceparent=traceparent)
        said |= {"event_id": str(envelope.id), "type": envelope.type, "traceparent": envelope.traceparent}
        try:
            left = ANSWER_SECONDS - (time.monotonic() - started)
            said["stored_by"] = await self.acceptor.accept(envelope, within=left)
        except BusUnavailable as error:
            said["error"] = str(error)
            raise Refusal(SPOOL_FULL if isinstance(error, SpoolFull) else UNAVAILABLE) from error
        said["outcome"] = "accepted"
        return {"event_id": str(envelope.id)}


async def _send(send: Send, status: int, headers: Mapping[str, str] | None, body: bytes) -> None:
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    fields += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def identify(candidates: Sequence[Known], body: bytes, signature: bytes, *, provider: Provider, now: datetime) -> Known:
    """The integration one of whose valid secrets signed this body. Raises `Refusal`."""
    if not candidates:
        raise Refusal(UNKNOWN_INTEGRATION)
    for known in candidates:
        if provider.genuine(body, signature, known.valid(now)):
            return known
    raise Refusal(SECRET_UNUSABLE if any(known.unusable for known in candidates) else BAD_SIGNATURE)


def _candidates(named: str | None, provider: Provider, snapshot: Snapshot, body: bytes) -> Sequence[Known]:
    if named is None:
        return snapshot.behind(provider.name, provider.webhook_ids(body))
    try:
        known = snapshot.get(_parsed(named))
    except ValueError:
        return ()
    return (known,) if known is not None and known.provider == provider.name else ()


_parsed = functools.lru_cache(maxsize=4096)(UUID)


def wrap(body: bytes, *, provider: Provider, known: Known, now: datetime, traceparent: str | None) -> Envelope:
    """The envelope of a genuine delivery.

    Where different changes have different bytes, equal bytes get an equal id, so a repeated delivery has one effect.
    Where they have not (deliveries without history), each gets its own: the later one may be another change.
    """
    description = provider.describe(body)
    return Envelope(
        id=derived_id(known.id.bytes, body) if description.distinct else uuid4(),
        source=f"/{provider.name}/{known.id}",
        type=description.type,
        subject=description.subject,
        integration_id=known.id,
        time=now,
        data=body,
        traceparent=trace_context(traceparent, os.urandom(24)),
    )
