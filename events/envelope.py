"""The envelope: one event with its CloudEvents 1.0 attributes, and how it looks as message headers.

The data is the bytes as received and never parsed here. Headers follow the CloudEvents AMQP binding: attributes
with the prefix `cloudEvents_`, the media type as the message's content type. Promise: `decode(encode(e)) == e`.
An event is the same event whenever it was published.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self
from uuid import UUID

import orjson

from events.errors import Malformed
from schema.identifiers import QuickUUID

PREFIX: Final = "cloudEvents_"
CONTENT_TYPE: Final = "content-type"
TRACEPARENT: Final = "traceparent"
SPECVERSION: Final = "1.0"

_ID: Final = f"{PREFIX}id"
_SPECVERSION: Final = f"{PREFIX}specversion"
_SOURCE: Final = f"{PREFIX}source"
_TYPE: Final = f"{PREFIX}type"
_TIME: Final = f"{PREFIX}time"
_INTEGRATION: Final = f"{PREFIX}integrationid"
_SUBJECT: Final = f"{PREFIX}subject"
_REPLAYED: Final = f"{PREFIX}replayed"
_PUBLISHED: Final = f"{PREFIX}publishedat"

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One event. The names are those of CloudEvents 1.0.

    Attributes:
        id: the same for the same change sent again, unique otherwise.
        source: URI reference of who produced it, `/<provider>/<integration id>`.
        type: what happened, `clickup.task.status_updated`; the routing key's beginning.
        integration_id: extension attribute `integrationid`.
        subject: what it happened to, `task/868cq4m2x`; None when unknown.
        time: when it was received (`clickup.*`) or applied (`knowledge.*`), aware.
        content_type: media type of the data.
        traceparent: W3C trace context.
        replayed: extension attribute `replayed`: published again from the journal, on somebody's order.
        published: extension attribute `publishedat`: when it was handed to the broker; None before, in the spool too.
        data: the payload.
    """

    id: UUID
    source: str
    type: str
    integration_id: UUID
    time: datetime
    data: bytes
    subject: str | None = None
    content_type: str = "application/json"
    traceparent: str | None = None
    replayed: bool = False
    published: datetime | None = field(default=None, compare=False)

    @property
    def routing_key(self) -> str:
        """`<type>.<integration id>`: what topic bindings match."""
        return f"{self.type}.{self.integration_id}"

    def headers(self, *, published: datetime | None = None) -> dict[str, str]:
        """Everything but the data, as message headers. `published`: when that is done, if it is done now."""
        published = published or self.published
        headers = {
            _ID: str(self.id),
            _SPECVERSION: SPECVERSION,
            _SOURCE: self.source,
            _TYPE: self.type,
            _TIME: _written(self.time),
            _INTEGRATION: str(self.integration_id),
            CONTENT_TYPE: self.content_type,
        }
        if self.subject is not None:
            headers[_SUBJECT] = self.subject
        if self.traceparent is not None:
            headers[TRACEPARENT] = self.traceparent
        if self.replayed:
            headers[_REPLAYED] = "true"
        if published is not None:
            headers[_PUBLISHED] = _written(published)
        return headers

    @classmethod
    def decode(cls, headers: Mapping[str, object], data: bytes) -> Self:
        """The envelope of a message.

        Raises:
            Malformed: an attribute that we need is missing or unreadable; the message can never be handled.
        """

        def text(name: str) -> str:
            value = headers.get(name)
            if not isinstance(value, str):
                raise Malformed(f"CloudEvents attribute {name.removeprefix(PREFIX)} is missing")
            return value

        if (version := text(_SPECVERSION)) != SPECVERSION:
            raise Malformed(f"CloudEvents specversion is {version[:20]!r}, expected {SPECVERSION}")
        try:
            id_, integration_id = QuickUUID(text(_ID)), _integration(text(_INTEGRATION))
            time = datetime.fromisoformat(text(_TIME))
        except ValueError as error:
            raise Malformed(f"CloudEvents attribute id, integrationid or time is unreadable: {error}") from error
        if time.tzinfo is None:
            raise Malformed("CloudEvents attribute time has no zone")
        subject, traceparent = headers.get(_SUBJECT), headers.get(TRACEPARENT)
        return cls(
            id=id_,
            source=text(_SOURCE),
            type=text(_TYPE),
            integration_id=integration_id,
            time=time,
            data=data,
            subject=subject if isinstance(subject, str) else None,
            content_type=str(headers.get(CONTENT_TYPE) or "application/json"),
            traceparent=traceparent if isinstance(traceparent, str) else None,
            replayed=headers.get(_REPLAYED) == "true",
            published=published_at(headers),
        )


@functools.lru_cache(maxsize=4096)
def _integration(text: str) -> UUID:
    return QuickUUID(text)


def _written(time: datetime) -> str:
    return orjson.dumps(time, option=orjson.OPT_UTC_Z)[1:-1].decode()  # a third of isoformat's time


def published_at(headers: Mapping[str, object]) -> datetime | None:
    """When a message was handed to the broker, if it says so: an event does as well without."""
    text = headers.get(_PUBLISHED)
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return time if time is not None and time.tzinfo is not None else None


def derived_id(*parts: bytes) -> UUID:
    """The same id for the same bytes: a UUID of version 8 over their SHA-256 (RFC 9562, section 5.8)."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return versioned(digest.digest()[:16])


def versioned(octets: bytes) -> UUID:
    """16 octets as a UUID of version 8."""
    marked = bytearray(octets)
    marked[6] = marked[6] & 0x0F | 0x80
    marked[8] = marked[8] & 0x3F | 0x80
    return QuickUUID(bytes(marked))


def trace_context(received: str | None, random: bytes) -> str:
    """The sender's W3C trace context if it is a valid one, else a new one from 24 random octets."""
    if received is not None and _TRACEPARENT.fullmatch(received):
        return received
    return f"00-{random[:16].hex()}-{random[16:24].hex()}-01"
