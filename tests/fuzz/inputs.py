"""What strangers, sources and flipped bits make: strategies for inputs near to good ones, and far from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from hypothesis import strategies as st

from integrations.clickup.webhook import EVENTS
from tests import source
from tests.conftest import SAMPLES

DELIVERIES = [path.read_bytes() for path in sorted(SAMPLES.glob("*.json"))]
EDGES = (0, 1, -1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 253_402_300_799_999, 253_402_300_800_000)
WORDS = (
    "",
    "0",
    "\x00",
    "a\x00b",
    "\ud83d",
    "📘",
    "NaN",
    "1e999",
    "-1",
    "1773569451207",
    "9" * 40,
    "x" * 300,
    "é" * 130,
)

texts = st.sampled_from(WORDS) | st.text(st.characters(), max_size=40)
scalars = (
    st.none() | st.booleans() | st.sampled_from(EDGES) | st.integers() | st.floats() | texts | st.integers().map(str)
)


def keys() -> list[str]:
    """Every key that a delivery or an answer of ClickUp has, as far as we know any."""
    found: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            found.update(value)
            for one in value.values():
                collect(one)
        elif isinstance(value, list):
            for one in value:
                collect(one)

    for body in DELIVERIES:
        collect(orjson.loads(body))
    collect(source.story())
    collect(source.task())
    return sorted(found)


KEYS = keys()
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=5),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(KEYS) | texts, values, max_size=8)


@st.composite
def altered(draw: st.DrawFn, good: Mapping[str, Any]) -> Any:
    """A good JSON object in which some places hold something else, or nothing."""
    changed = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(0, 4))):
        place = changed
        while True:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            below = place[key]
            if not isinstance(below, dict | list) or not below or draw(st.booleans()):
                break
            place = below
        place[key] = draw(values)
    return changed


@st.composite
def mutated(draw: st.DrawFn, *good: bytes) -> bytes:
    """Good bytes with some octets changed, cut out, doubled or put in."""
    octets = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(octets)))
        match draw(st.integers(0, 3)):
            case 0 if at < len(octets):
                octets[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del octets[at : at + draw(st.integers(1, 40))]
            case 2:
                octets[at:at] = draw(st.binary(min_size=1, max_size=8))
            case _:
                octets[at:at] = octets[at : at + draw(st.integers(1, 40))]
    return bytes(octets)


def written(payload: Any) -> bytes:
    """JSON as JavaScript or Python may write it: lone surrogates, NaN and huge numbers as they are."""
    return json.dumps(payload).encode()


deliveries = (
    st.builds(lambda event, rest: written(rest | {"event": event}), st.sampled_from(sorted(EVENTS)), objects)
    | st.sampled_from([orjson.loads(body) for body in DELIVERIES]).flatmap(altered).map(written)
    | mutated(*DELIVERIES)
    | objects.map(lambda payload: json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    | st.integers(1, 2000).map(lambda depth: b'{"event":"taskUpdated","task_id":"a","history_items":' + b"[" * depth)
    | st.binary(max_size=200)
)
"""Bodies that might come signed."""

headers = st.dictionaries(
    st.sampled_from(
        [f"cloudEvents_{name}" for name in ("id", "specversion", "source", "type", "time", "integrationid", "subject")]
        + ["cloudEvents_replayed", "cloudEvents_publishedat", "content-type", "traceparent", "kb-attempt"]
    ),
    scalars | st.uuids().map(str) | st.datetimes().map(str) | st.just("1.0"),
)
