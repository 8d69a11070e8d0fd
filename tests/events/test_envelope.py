"""The envelope survives its headers, and a message that is none of ours is Malformed and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events.envelope import PREFIX, Envelope, derived_id, trace_context, versioned
from events.errors import Malformed

INTEGRATION = UUID("5d0c3c5e-9c1a-4f0e-8a57-1f2f1f0a9b3d")
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
REQUIRED = ("id", "specversion", "source", "type", "time", "integrationid")

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
envelopes = st.builds(
    Envelope,
    id=st.uuids(),
    source=words,
    type=words,
    integration_id=st.uuids(),
    time=st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=zones),  # noqa: DTZ001
    data=st.binary(max_size=50),
    subject=st.none() | words,
    content_type=words.filter(bool),
    traceparent=st.none() | words,
)
strange = st.none() | st.integers() | st.floats() | st.binary(max_size=9) | st.text(max_size=9) | st.booleans()


def an_envelope(**more: Any) -> Envelope:
    fields: dict[str, Any] = {
        "id": UUID(int=1),
        "source": f"/clickup/{INTEGRATION}",
        "type": "clickup.task.status_updated",
        "integration_id": INTEGRATION,
        "time": datetime(2026, 3, 15, 10, 5, 9, 811000, UTC),
        "data": b"{}",
        "subject": "task/868cq4m2x",
        "traceparent": PARENT,
    }
    return Envelope(**fields | more)


@given(envelopes)
@settings(max_examples=100, deadline=None)
def test_round_trip(envelope: Envelope) -> None:
    """An envelope comes out of its headers and data as it went in."""
    headers = envelope.headers()
    assert all(isinstance(value, str) for value in headers.values())
    again = Envelope.decode(headers, envelope.data)
    assert again == envelope
    assert again.time.utcoffset() == envelope.time.utcoffset()


def test_headers() -> None:
    """The headers are those of the CloudEvents AMQP binding, and times of UTC end in Z."""
    assert an_envelope().headers() == {
        "cloudEvents_id": "00000000-0000-0000-0000-000000000001",
        "cloudEvents_specversion": "1.0",
        "cloudEvents_source": f"/clickup/{INTEGRATION}",
        "cloudEvents_type": "clickup.task.status_updated",
        "cloudEvents_time": "2026-03-15T10:05:09.811000Z",
        "cloudEvents_integrationid": str(INTEGRATION),
        "cloudEvents_subject": "task/868cq4m2x",
        "content-type": "application/json",
        "traceparent": PARENT,
    }
    bare = an_envelope(subject=None, traceparent=None).headers()
    assert set(bare) == {*(PREFIX + name for name in REQUIRED), "content-type"}
    assert an_envelope().routing_key == f"clickup.task.status_updated.{INTEGRATION}"


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, 7, b"1.0", ["1.0"], {}, datetime(2026, 3, 15, tzinfo=UTC), True], ids=repr)
def test_missing_attributes(name: str, value: object) -> None:
    """A required attribute that is absent, or is no string, is Malformed, and the message names it."""
    headers: dict[str, object] = {**an_envelope().headers(), PREFIX + name: value}
    if value is None:
        del headers[PREFIX + name]
    with pytest.raises(Malformed, match=f"attribute {name} is missing"):
        Envelope.decode(headers, b"{}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specversion", "0.3"),
        ("specversion", "1.0.1"),
        ("specversion", ""),
        ("id", ""),
        ("id", "7"),
        ("id", "5d0c3c5e-9c1a-4f0e-8a57-1f2f1f0a9b3"),
        ("id", "\ud800" * 32),
        ("integrationid", "none"),
        ("time", ""),
        ("time", "yesterday"),
        ("time", "2026-03-15"),
        ("time", "2026-03-15T10:05:09"),
        ("time", "2026-02-30T10:05:09Z"),
        ("time", "2026-03-15T10:05:09+99:99"),
        ("time", "1773569109"),
        ("time", "\ud800"),
    ],
)
def test_ill_attributes(name: str, value: str) -> None:
    """A version we do not know, an id that is none, and a time without a zone are Malformed."""
    with pytest.raises(Malformed, match=name):
        Envelope.decode({**an_envelope().headers(), PREFIX + name: value}, b"{}")


@given(st.dictionaries(st.sampled_from([*an_envelope().headers(), "x-death"]), strange), st.binary(max_size=9))
@settings(max_examples=100, deadline=None)
@example({}, b"")
def test_any_headers(replaced: dict[str, object], data: bytes) -> None:
    """Any headers whatever are an envelope or Malformed."""
    for headers in (replaced, {**an_envelope().headers(), **replaced}):
        try:
            envelope = Envelope.decode(headers, data)
        except Malformed as error:
            assert str(error)  # noqa: PT017
        else:
            assert envelope.data == data
            assert envelope.time.tzinfo is not None


@pytest.mark.parametrize("value", [None, 7, b"x"])
def test_optional_attributes(value: object) -> None:
    """An optional attribute of another type is none, and costs no message."""
    headers: dict[str, object] = {**an_envelope().headers(), "cloudEvents_subject": value, "traceparent": value}
    envelope = Envelope.decode(headers, b"{}")
    assert (envelope.subject, envelope.traceparent) == (None, None)
    assert Envelope.decode({**headers, "content-type": None}, b"{}").content_type == "application/json"


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
@settings(max_examples=100, deadline=None)
@example([b"ab", b"c"], [b"a", b"bc"])
@example([b""], [])
def test_derived_ids(one: list[bytes], other: list[bytes]) -> None:
    """The same parts give the same id, other parts, also otherwise cut, another; all are UUIDs of version 8."""
    assert (derived_id(*one) == derived_id(*other)) == (one == other)
    assert derived_id(*one).version == 8
    assert derived_id(*one).variant == "specified in RFC 4122"


@given(st.binary(min_size=16, max_size=16))
@settings(max_examples=60, deadline=None)
def test_versioned(octets: bytes) -> None:
    """16 octets become a UUID of version 8 that keeps the 122 bits which are free."""
    made = versioned(octets)
    assert (made.version, made.variant) == (8, "specified in RFC 4122")
    free = ~(0xF << 76 | 0b11 << 62)
    assert made.int & free == int.from_bytes(octets, "big") & free


@pytest.mark.parametrize(
    "received",
    [
        None,
        "",
        "x",
        PARENT.upper(),
        PARENT + "\n",
        PARENT + "-00",
        PARENT.replace("00-4", "ff-4"),
        PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
        PARENT.replace("4bf92f", "4bf92é"),
    ],
)
def test_trace_context(received: str | None) -> None:
    """The sender's trace context is kept if it is a valid one; anything else begins a new one."""
    made = trace_context(received, bytes(range(1, 25)))
    assert made == f"00-{bytes(range(1, 17)).hex()}-{bytes(range(17, 25)).hex()}-01"
    assert trace_context(made, b"") == made
    assert trace_context(PARENT, b"") == PARENT


def test_published_is_told_and_changes_no_identity() -> None:
    """An event is the same event whenever it was published; what cannot be read as a time is left out."""
    when = datetime(2026, 3, 15, 10, 5, 10, 2000, UTC)
    published = an_envelope(published=when)
    assert published == an_envelope()
    assert Envelope.decode(published.headers(), b"{}").published == when
    assert Envelope.decode(an_envelope().headers(), b"{}").published is None
    for odd in ("", "yesterday", "2026-03-15T10:05:10", 7):
        headers: dict[str, object] = {**an_envelope().headers(), PREFIX + "publishedat": odd}
        assert Envelope.decode(headers, b"{}").published is None
