"""When things are read, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from consumers.coalescing import CONFIRM, FRESH_SECONDS, KEPT, PRESSED, Windows

WINDOW = 2.0


def id_(number: int) -> UUID:
    return UUID(int=number)


def windows(*heard: tuple[int, str, bool, float]) -> Windows[str]:
    """Windows that heard of these: number, thing, urgent, when."""
    one = Windows[str](window=WINDOW)
    for number, thing, urgent, now in heard:
        one.hear(id_(number), thing, urgent=urgent, now=now)
    return one


def dues(one: Windows[str], *numbers: int) -> Sequence[float]:
    return [one.due(id_(number)) for number in numbers]


def test_what_is_not_stated_is_read_at_once() -> None:
    assert dues(windows((1, "a", True, 10)), 1) == [10]


def test_what_is_stated_waits_for_the_end_of_the_burst() -> None:
    """Each further delivery prolongs it, for all of them."""
    one = windows((1, "a", False, 10), (2, "a", False, 11), (3, "b", False, 11.5))
    assert dues(one, 1, 2, 3) == [13, 13, 13.5]


def test_a_burst_has_an_end() -> None:
    """No longer than so many windows after its first delivery."""
    one = windows(*((number, "a", False, 10 + number) for number in range(30)))
    assert dues(one, 0, 29) == [10 + CONFIRM * WINDOW] * 2


def test_under_pressure_nothing_waits_but_for_what_was_just_read() -> None:
    one = windows(*((number, "a", False, 10 + number / PRESSED) for number in range(PRESSED)))
    assert dues(one, 0) == [10]
    one.begin({"a": 10.5})
    assert dues(one, 0) == [10.5 + WINDOW]


def test_an_urgent_one_takes_the_others_along() -> None:
    one = windows((1, "a", False, 10), (2, "a", True, 11))
    assert dues(one, 1, 2) == [11, 11]


def test_what_was_just_read_is_read_again_after_a_while() -> None:
    """Heard after the read began: after the window; what is not stated sooner, to be fresh within a second."""
    one = windows((1, "a", True, 10))
    one.begin({"a": 10})
    one.hear(id_(3), "a", urgent=False, now=10.1)
    assert dues(one, 3) == [12.1]
    one.hear(id_(2), "a", urgent=True, now=10.5)
    assert dues(one, 2, 3) == [10 + FRESH_SECONDS] * 2
    short = Windows[str](window=0.1)
    short.hear(id_(1), "a", urgent=True, now=10)
    short.begin({"a": 10})
    short.hear(id_(2), "a", urgent=True, now=10.05)
    assert short.due(id_(2)) == 10.1


def test_a_read_satisfies_those_heard_before_it_began() -> None:
    one = windows((1, "a", True, 10), (2, "a", False, 10), (3, "b", False, 9))
    one.begin({"a": 10})
    one.hear(id_(4), "a", urgent=False, now=10.1)
    assert not one.satisfied(id_(2))  # not stored yet
    one.cover({"a": 10})
    assert [one.satisfied(id_(number)) for number in (1, 2, 3, 4)] == [True, True, False, False]


def test_when_a_read_failed_the_others_read_again() -> None:
    """Whoever waited for it is not satisfied, and due after a window."""
    one = windows((1, "a", True, 10), (2, "a", False, 10))
    one.begin({"a": 10})
    one.settle([id_(1)])
    assert not one.satisfied(id_(2))
    assert dues(one, 2) == [12]


def test_the_settled_are_forgotten_and_the_old_too() -> None:
    """Memory stays bounded; what is waited for stays."""
    one = windows((0, "first", False, 0))
    one.settle([id_(0)])
    assert not one.heard(id_(0))
    for number in range(1, 3 * KEPT):
        one.hear(id_(number), f"thing {number}", urgent=True, now=number)
        one.begin({f"thing {number}": number})
        one.settle([id_(number)])
    assert len(one._things) <= KEPT + 20
    one.hear(id_(0), "kept", urgent=False, now=3 * KEPT)
    assert dues(one, 0) == [3 * KEPT + WINDOW]


def test_what_is_waited_for_is_not_forgotten() -> None:
    """However long the window is, and however much was read meanwhile."""
    one = Windows[str](window=600)
    one.hear(id_(0), "kept", urgent=False, now=0)
    for number in range(1, 2 * KEPT):
        one.hear(id_(number), f"thing {number}", urgent=True, now=number / 4)
        one.begin({f"thing {number}": number / 4})
        one.settle([id_(number)])
    assert one.heard(id_(0))
    assert not one.satisfied(id_(0))
