"""What passes the library by: read as the library would read it, wherever the socket cuts, and nothing else taken."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from events import frames, wire
from events.frames import Content, Handed, Returned, Settled
from events.wire import Message, Wire

OURS, THEIRS = 7, 8
short = st.text(max_size=60)
names = st.text(alphabet="kb.-_:@#", max_size=60)
tags = st.integers(min_value=1, max_value=2**63 - 1)
values = st.recursive(
    st.text(max_size=80) | st.integers(min_value=-(2**31), max_value=2**63 - 1) | st.booleans() | st.none()
    | st.floats(allow_nan=False, width=32) | st.just(Decimal("1.5")) | st.just(datetime(2026, 3, 1, tzinfo=UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=9), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
headers = st.dictionaries(st.text(min_size=1, max_size=40), values, max_size=8)


def payload(frame: Any) -> bytes:
    """Of a whole frame of the library's."""
    octets = pamqp.frame.marshal(frame, OURS)
    return octets[frames.HEAD.size : -1]


@given(tag=tags, multiple=st.booleans(), channel=st.integers(min_value=1, max_value=65535))
def test_the_librarys_decoder_reads_our_acknowledgements(tag: int, multiple: bool, channel: int) -> None:
    size, number, frame = pamqp.frame.unmarshal(frames.ack(channel=channel, tag=tag, multiple=multiple))
    assert isinstance(frame, Basic.Ack)
    assert (size, number, frame.delivery_tag, frame.multiple) == (21, channel, tag, multiple)


@given(tag=tags, multiple=st.booleans(), text=short, exchange=names, key=short)
def test_what_we_are_told_is_read(tag: int, multiple: bool, text: str, exchange: str, key: str) -> None:
    """Every method of ours, as the library's encoder writes it; any other is nothing of ours."""
    deliver = Basic.Deliver(consumer_tag=text, delivery_tag=tag, exchange=exchange, routing_key=key)
    returned = Basic.Return(reply_code=312, reply_text=text, exchange=exchange, routing_key=key)
    assert frames.told(payload(deliver)) == Handed(tag)
    assert frames.told(payload(returned)) == Returned(key)
    assert frames.told(payload(Basic.Ack(tag, multiple))) == Settled(tag, multiple, confirmed=True)
    assert frames.told(payload(Basic.Nack(tag, multiple, False))) == Settled(tag, multiple, confirmed=False)
    assert frames.told(payload(Basic.ConsumeOk(text))) is None
    assert frames.told(payload(Channel.CloseOk())) is None


@given(
    size=st.integers(min_value=0, max_value=2**40), headers=st.none() | headers, content_type=st.none() | short,
    message_id=st.none() | short, others=st.booleans(),
)  # fmt: skip
def test_a_contents_header_is_read(
    size: int, headers: dict[str, Any] | None, content_type: str | None, message_id: str | None, others: bool
) -> None:
    """Whatever other properties stand between ours, and whatever a header is: as the library's decoder reads it."""
    more: dict[str, Any] = {
        "content_encoding": "gzip",
        "delivery_mode": 2,
        "priority": 3,
        "correlation_id": "c",
        "reply_to": "r",
        "expiration": "9",
        "timestamp": datetime(2026, 3, 1, tzinfo=UTC),
        "message_type": "t",
        "user_id": "guest",
        "app_id": "a",
    }
    more = more if others else {}
    properties = Basic.Properties(content_type=content_type, headers=headers, message_id=message_id, **more)
    octets = payload(ContentHeader(body_size=size, properties=properties))
    theirs = pamqp.frame.unmarshal(frames.HEAD.pack(2, OURS, len(octets)) + octets + frames.END)[2]
    assert isinstance(theirs, ContentHeader)
    read = theirs.properties
    assert frames.content(octets) == Content(
        size, read.content_type, dict(read.headers or {}),
        read.message_id,
    )  # fmt: skip


@given(octets=st.binary(max_size=60))
def test_what_is_no_method_and_no_header_is_an_error(octets: bytes) -> None:
    """Read, or one of the errors that leave it to the library: nothing else, and it ends."""
    for read in (frames.told, frames.content):
        with suppress(*wire.NOT_UNDERSTOOD):
            read(octets)


def delivered(channel: int, tag: int, body: bytes, *, piece: int = 50) -> bytes:
    """A message as a broker hands it out, in frames of so many octets."""
    parts: list[Any] = [
        Basic.Deliver(consumer_tag="c", delivery_tag=tag, exchange="kb", routing_key="k"),
        ContentHeader(body_size=len(body), properties=Basic.Properties(headers={"n": tag})),
        *(ContentBody(body[start : start + piece]) for start in range(0, len(body), piece)),
    ]
    return b"".join(pamqp.frame.marshal(part, channel) for part in parts)


class Heard:
    """A tap with one claimed channel, and what came of what it was fed."""

    def __init__(self) -> None:
        self.ours: list[Message | Settled] = []
        claims = {OURS: wire._Claim(self.ours.append)}
        self.tap = wire._Tap(claims, asyncio.get_running_loop())

    async def library(self) -> bytes:
        self.tap.feed_eof()
        return await self.tap.read()


def cut(octets: bytes, sizes: Sequence[int]) -> list[bytes]:
    pieces, at = list[bytes](), 0
    for size in itertools.cycle(sizes or [len(octets) or 1]):
        if at >= len(octets):
            return pieces
        pieces.append(octets[at : at + size])
        at += size
    raise AssertionError


@given(
    what=st.lists(
        st.tuples(st.sampled_from(["ours", "theirs", "confirm", "answer", "beat"]), st.binary(max_size=160)),
        max_size=12,
    ),
    sizes=st.lists(st.integers(min_value=1, max_value=90), max_size=6),
)  # fmt: skip
def test_each_gets_its_own_wherever_the_socket_cuts(what: list[tuple[str, bytes]], sizes: list[int]) -> None:
    """Our messages and confirms whole and in order; the library everything else, octet by octet."""

    async def check() -> None:
        heard, sent, theirs, ours = Heard(), b"", b"", list[Any]()
        for tag, (kind, body) in enumerate(what, 1):
            match kind:
                case "ours":
                    octets = delivered(OURS, tag, body)
                    ours.append((Handed(tag), {"n": tag}, body))
                case "confirm":
                    octets = pamqp.frame.marshal(Basic.Ack(tag, False), OURS)
                    ours.append(Settled(tag, False, True))
                case "theirs":
                    octets = delivered(THEIRS, tag, body)
                case "answer":
                    octets = pamqp.frame.marshal(Basic.QosOk(), OURS)
                case _:
                    octets = Heartbeat().marshal()
            sent += octets
            theirs += b"" if kind in {"ours", "confirm"} else octets
        for piece in cut(sent, sizes):
            heard.tap.feed_data(piece)
        found = [one if isinstance(one, Settled) else (one.method, one.content.headers, one.body) for one in heard.ours]
        assert (found, await heard.library()) == (ours, theirs)

    asyncio.run(check())


@pytest.mark.parametrize("octets", [b"AMQP\x00\x00\x09\x01", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9])
async def test_what_is_no_frame_is_the_librarys(octets: bytes) -> None:
    """It knows what to say of another protocol, and hears of it at once."""
    heard = Heard()
    heard.tap.feed_data(delivered(OURS, 1, b"x") + octets)
    assert await asyncio.wait_for(heard.tap.readexactly(len(octets)), 1) == octets
    assert len(heard.ours) == 1


async def test_a_frame_that_cannot_be_read_ends_the_connection() -> None:
    """It is handed on as it came, and so is all that follows."""
    heard = Heard()
    torn = frames.HEAD.pack(frames.METHOD, OURS, 6) + b"\x00\x3c\x00\x3c\xff\x01" + frames.END
    after = delivered(OURS, 2, b"y")
    heard.tap.feed_data(delivered(OURS, 1, b"x") + torn)
    heard.tap.feed_data(after)
    assert (len(heard.ours), await heard.library()) == (1, torn + after)


async def test_the_library_hears_of_what_we_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing but our messages on a connection, it would take it for dead."""
    heard = Heard()
    monkeypatch.setattr(heard.tap, "_fed_at", heard.tap._fed_at - 2 * wire.SIGN_OF_LIFE_SECONDS)
    for tag in range(1, 4):
        heard.tap.feed_data(delivered(OURS, tag, b"x"))
    assert await heard.library() == Heartbeat().marshal()


async def test_a_channel_is_the_librarys_again_when_it_is_released() -> None:
    """Half a message of a channel's last owner is no part of what comes for its next one."""
    first, second = list[Any](), list[Any]()
    one = Wire()
    tap = wire._Tap(one._claims, asyncio.get_running_loop())
    one.claim(OURS, first.append)
    tap.feed_data(delivered(OURS, 1, b"x" * 90)[:-80])
    one.release(OURS)
    one.claim(OURS, second.append)
    rest, whole = delivered(OURS, 1, b"x" * 90)[-80:], delivered(OURS, 1, b"y")
    tap.feed_data(rest + whole)
    assert (first, [message.body for message in second]) == ([], [b"y"])


async def test_the_end_may_be_told_twice() -> None:
    """By the peer, and when the transport is gone: the library hears what was left, and the end."""
    heard = Heard()
    half = delivered(THEIRS, 1, b"x")[:-3]
    heard.tap.feed_data(half)
    heard.tap.feed_eof()
    heard.tap.feed_eof()
    assert await heard.tap.read() == half
    assert heard.tap.at_eof()
