"""AMQP 0-9-1 as octets: what we write by the thousand and what comes by the thousand (sections 2.3.5 and 4.2). Pure.

It knows five methods, and headers that are text or whole numbers; what else a header may be, the library decodes. It
takes a fifth of the time of the library's general coder, which was the most expensive part of an event's way. Promises:
the library's decoder reads what `publish` and `ack` put in, and `content` and `told` read what its encoder put in.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from pamqp.decode import embedded_value

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END: Final = b"\xce"
STILL_ALIVE: Final = b"\x08\x00\x00\x00\x00\x00\x00" + END
"""A whole heartbeat frame."""
HEAD: Final = struct.Struct(">BHI")
"""Of a frame: its kind, its channel, the octets of its payload."""
OVERHEAD: Final = HEAD.size + len(END)
BASIC: Final = 60
PUBLISH, RETURN, DELIVER, ACK, NACK = 40, 50, 60, 80, 120
MANDATORY: Final = 1
"""Of the publish's flags: an event without a queue is returned."""
MULTIPLE: Final = 1
"""Of the flags of ACK and NACK: all up to this one."""
PROPERTIES: Final = 0x8000 | 0x2000 | 0x1000 | 0x0080
"""Which follow, in this order: content-type, headers, delivery-mode, message-id."""
PERSISTENT: Final = b"\x02"
_PUBLISH: Final = struct.pack(">HHH", BASIC, PUBLISH, 0)
_MANDATORY: Final = bytes([MANDATORY])

_METHOD: Final = struct.Struct(">HH")
_TAG: Final = struct.Struct(">QB")
_ACK: Final = struct.Struct(">BHIHHQBB")
_CONTENT: Final = struct.Struct(">HHQH")
_LONG: Final = struct.Struct(">I")
_CONTENT_TYPE, _ENCODING, _HEADERS, _MODE, _PRIORITY = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800
_TO_MESSAGE_ID: Final = (0x0400, 0x0200, 0x0100)
"""Texts between the priority and the message-id: correlation-id, reply-to, expiration."""
_MESSAGE_ID: Final = 0x0080


class Handed(NamedTuple):
    """`basic.deliver`: a content follows."""

    tag: int


class Returned(NamedTuple):
    """`basic.return`: no queue for it; its content follows. `key`: where it was to go."""

    key: str


class Settled(NamedTuple):
    """`basic.ack` or `basic.nack` of what was published. `multiple`: and all before it."""

    tag: int
    multiple: bool
    confirmed: bool


class Content(NamedTuple):
    """A content's header: how many octets follow, and what we ask of the properties."""

    size: int
    content_type: str | None
    headers: dict[str, object]
    message_id: str | None


def publish(
    *, channel: int, exchange: str, key: str, headers: Mapping[str, str | int], content_type: str, message_id: str,
    body: bytes, frame_max: int,
) -> bytes:  # fmt: skip
    """A persistent, mandatory message. Raises `ValueError` when a name or the routing key is too long."""
    table: list[bytes] = []
    for name, value in headers.items():
        if isinstance(value, str):
            octets = value.encode()
            table += (_text_named(name), _LONG.pack(len(octets)), octets)
        else:
            table += (_name_of(name), b"l", value.to_bytes(8, "big", signed=True))
    packed = b"".join(table)
    method = _PUBLISH + _name_of(exchange) + _short(key) + _MANDATORY
    header = b"".join(
        (
            _CONTENT.pack(BASIC, 0, len(body), PROPERTIES), _name_of(content_type), _LONG.pack(len(packed)), packed,
            PERSISTENT, _short(message_id),
        )
    )  # fmt: skip
    frames = [
        HEAD.pack(METHOD, channel, len(method)), method, END,
        HEAD.pack(HEADER, channel, len(header)), header, END,
    ]  # fmt: skip
    most = frame_max - OVERHEAD
    for start in range(0, len(body), most):
        piece = body[start : start + most]
        frames += (HEAD.pack(BODY, channel, len(piece)), piece, END)
    return b"".join(frames)


def ack(*, channel: int, tag: int, multiple: bool = False) -> bytes:
    """What was handed out with this tag is done; `multiple`: and all before it."""
    return _ACK.pack(METHOD, channel, 13, BASIC, ACK, tag, MULTIPLE if multiple else 0, END[0])


def told(payload: bytes) -> Handed | Returned | Settled | None:
    """A method that came; None for any other. Raises `ValueError`, `IndexError` or `struct.error` for no method."""
    class_, method = _METHOD.unpack_from(payload)
    if class_ != BASIC:
        return None
    if method == DELIVER:
        return Handed(_TAG.unpack_from(payload, 5 + payload[4])[0])
    if method in {ACK, NACK}:
        tag, flags = _TAG.unpack_from(payload, 4)
        return Settled(tag, bool(flags & MULTIPLE), method == ACK)
    if method == RETURN:
        at = 6
        for _ in range(2):  # the reason and the exchange
            at += 1 + payload[at]
        return Returned(_text(payload, at)[0])
    return None


def content(payload: bytes) -> Content:
    """A content's header. Raises `ValueError`, `IndexError` or `struct.error` when it is none."""
    _, _, size, flags = _CONTENT.unpack_from(payload)
    at = _CONTENT.size
    content_type = message_id = None
    headers: dict[str, object] = {}
    if flags & _CONTENT_TYPE:
        content_type, at = _text(payload, at)
    if flags & _ENCODING:
        at += 1 + payload[at]
    if flags & _HEADERS:
        end = at + 4 + _LONG.unpack_from(payload, at)[0]
        headers, at = _table(payload, at + 4, end), end
    at += bool(flags & _MODE) + bool(flags & _PRIORITY)
    for flag in _TO_MESSAGE_ID:
        if flags & flag:
            at += 1 + payload[at]
    if flags & _MESSAGE_ID:
        message_id, at = _text(payload, at)
    return Content(size, content_type, headers, message_id)


def _table(payload: bytes, at: int, end: int) -> dict[str, object]:
    found: dict[str, object] = {}
    while at < end:
        start = at + 1
        at = start + payload[at]
        name = _name(payload[start:at])
        if payload[at] == 0x53:  # S, a long text
            start = at + 5
            at = start + _LONG.unpack_from(payload, at + 1)[0]
            found[name] = payload[start:at].decode()
        else:
            size, found[name] = embedded_value(payload[at:end])
            at += size
    if at > end:
        raise ValueError("a value ends beyond its table")
    return found


def _text(payload: bytes, at: int) -> tuple[str, int]:
    """A short text there, and where it ends."""
    end = at + 1 + payload[at]
    return payload[at + 1 : end].decode(), end


def _short(text: str) -> bytes:
    octets = text.encode()
    if len(octets) > 255:
        raise ValueError(f"AMQP takes names and routing keys of 255 octets, not {len(octets)}")
    return bytes([len(octets)]) + octets


@functools.lru_cache(maxsize=256)
def _name_of(text: str) -> bytes:
    return _short(text)


@functools.lru_cache(maxsize=256)
def _text_named(name: str) -> bytes:
    return _short(name) + b"S"


@functools.lru_cache(maxsize=256)
def _name(octets: bytes) -> str:
    return octets.decode()
