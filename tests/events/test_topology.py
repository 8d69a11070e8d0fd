"""Names on the broker, and topic patterns that match what AMQP says they match."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.topology import DEFAULT_LADDER, JOURNAL, KNOWLEDGE, QUEUES, SYNC_STATE, Queue, duration, matches, regex
from integrations.clickup.webhook import EVENTS, UNRECOGNIZED
from schema.records import TYPES

INTEGRATION = UUID("5d0c3c5e-9c1a-4f0e-8a57-1f2f1f0a9b3d")

words = st.sampled_from(["a", "b", "task", "5d0c-9c1a", "status_updated", "a+b", "x(y", "[z]", "$", "é"])
keys = st.lists(words, max_size=5)
patterns = st.lists(words | st.sampled_from(["*", "#"]), min_size=1, max_size=5)


def fits(pattern: Sequence[str], key: Sequence[str]) -> bool:
    """AMQP 0-9-1, 3.1.3.3, word by word: `*` is one word, `#` is any number of words."""
    if not pattern:
        return not key
    if pattern[0] == "#":
        return any(fits(pattern[1:], key[skipped:]) for skipped in range(len(key) + 1))
    return bool(key) and pattern[0] in ("*", key[0]) and fits(pattern[1:], key[1:])


@given(patterns, keys)
@settings(max_examples=100, deadline=None)
def test_patterns(pattern: list[str], key: list[str]) -> None:
    """A pattern of any words, stars and hashes matches exactly the keys that the rules of AMQP say."""
    assert matches([".".join(pattern)], ".".join(key)) == fits(pattern, key)


@given(st.lists(st.sampled_from(["a", "*", "#"]), min_size=1, max_size=4), st.lists(st.sampled_from("ab"), max_size=4))
@settings(max_examples=100, deadline=None)
def test_short_patterns(pattern: list[str], key: list[str]) -> None:
    """The same with few words, where most patterns match something."""
    assert matches([".".join(pattern)], ".".join(key)) == fits(pattern, key)


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("#", "", True),
        ("#", "a.b.c", True),
        ("*", "", False),
        ("*", "a.b", False),
        ("a.#", "a", True),
        ("a.#", "ab", False),
        ("a.#", "a.b.c", True),
        ("#.a", "a", True),
        ("#.a", "ba", False),
        ("#.a", "b.c.a", True),
        ("a.#.b", "a.b", True),
        ("a.#.b", "a.x.y.b", True),
        ("a.#.b", "ab", False),
        ("a.*.b", "a.b", False),
        ("#.a.#", "a", True),
        ("#.*", "a", True),
        ("*.#", "a", True),
        ("#.#", "a", True),
        ("#.#.a", "b.a", True),
        ("a.#.#.b", "a.b", True),
        ("a.b", "axb", False),
        ("clickup.task.*.*", f"clickup.task.updated.{INTEGRATION}", True),
        (f"clickup.#.{INTEGRATION}", f"clickup.task.updated.{INTEGRATION}", True),
        (f"clickup.#.{INTEGRATION}", f"clickup.task.updated.{UUID(int=1)}", False),
    ],
)
def test_known_patterns(pattern: str, key: str, expected: bool) -> None:
    """Patterns as people write them match what people expect."""
    assert matches([pattern], key) is expected
    assert fits(pattern.split("."), key.split(".") if key else []) is expected


@given(patterns)
@settings(max_examples=60, deadline=None)
def test_expressions_are_plain(pattern: list[str]) -> None:
    """An expression has anchors at both ends and nothing that only Python's dialect knows."""
    expression = regex(".".join(pattern))
    assert expression.startswith("^")
    assert expression.endswith("$")
    assert "(?" not in expression
    re.compile(expression)


def test_any_of_several() -> None:
    """A key falls under several patterns if it falls under one, and under none of none."""
    assert matches(["x.#", "a.*"], "a.b")
    assert not matches(["x.#", "a.*"], "b.a")
    assert not matches([], "a")


@pytest.mark.parametrize("kind", [*(f"clickup.{entity}.{action}" for entity, action in EVENTS.values()), UNRECOGNIZED])
def test_what_arrives_is_worked_on_and_kept(kind: str) -> None:
    """Each event of ClickUp, understood or not, goes to `knowledge` and to `journal` and nowhere else."""
    reached = [queue for queue in QUEUES if matches(queue.bindings, f"{kind}.{INTEGRATION}")]
    assert reached == [KNOWLEDGE, JOURNAL]


@pytest.mark.parametrize("kind", sorted(set(TYPES.values())))
@pytest.mark.parametrize("action", ["created", "updated", "deleted"])
def test_what_was_applied_is_counted(kind: str, action: str) -> None:
    """Each change of the knowledge base goes to `sync-state`, and does not come round again."""
    reached = [queue for queue in QUEUES if matches(queue.bindings, f"knowledge.{kind}.{action}.{INTEGRATION}")]
    assert reached == [SYNC_STATE]


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (0.001, "1ms"),
        (0.5, "500ms"),
        (1, "1s"),
        (1.5, "1500ms"),
        (60, "1m"),
        (90, "90s"),
        (120, "2m"),
        (1800, "30m"),
        (3600, "1h"),
        (5400, "90m"),
        (86400, "24h"),
    ],
)
def test_durations(seconds: float, name: str) -> None:
    """A delay is named in the largest unit that divides it."""
    assert duration(seconds) == name


def test_names() -> None:
    """All names of a consumer follow from its own, and steps past the ladder's end are its last."""
    queue = Queue(consumer="knowledge", bindings=(), ladder=(1.0, 30.0, 600.0))
    assert (queue.name, queue.dead) == ("kb.knowledge", "kb.knowledge.dead")
    assert [queue.delay(step) for step in range(5)] == [1.0, 30.0, 600.0, 600.0, 600.0]
    retries = ["kb.knowledge.retry.1s", "kb.knowledge.retry.30s", "kb.knowledge.retry.10m", "kb.knowledge.retry.10m"]
    assert [queue.retry(step) for step in range(4)] == retries


def test_no_name_is_used_twice() -> None:
    """Queues, their dead letters and every step's waiting queue have names of their own, which AMQP can carry."""
    names = [name for queue in QUEUES for name in (queue.name, queue.dead)]
    names += [queue.retry(step) for queue in QUEUES for step in range(len(DEFAULT_LADDER))]
    assert len(names) == len(set(names)) == len(QUEUES) * (2 + len(DEFAULT_LADDER))
    assert all(len(name.encode()) < 256 for name in names)
