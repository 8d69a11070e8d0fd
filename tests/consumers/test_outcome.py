"""What becomes of a delivery: done, tried again or set aside, with a reason that tells no payload."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.outcome import (
    FAILED_ATTEMPTS,
    POSTPONED_ATTEMPTS,
    REASON_LENGTH,
    DeadLetter,
    Done,
    Postponed,
    Refused,
    Retry,
    decide,
    where,
)
from events.topology import DEFAULT_LADDER, Queue


def raised(error: Exception) -> Exception:
    """An error as it comes out of a handler, with its traceback."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "attempt", "outcome"),
    [
        (None, 1, Done()),
        (None, 1000, Done()),
        (Refused("no such integration"), 1, DeadLetter("no such integration")),
        (Refused("no such integration"), 99, DeadLetter("no such integration")),
        (Postponed("ClickUp is away"), 1, Retry("ClickUp is away")),
        (Postponed("away"), POSTPONED_ATTEMPTS - 1, Retry("away")),
        (Postponed("away"), POSTPONED_ATTEMPTS, DeadLetter(f"gave up after {POSTPONED_ATTEMPTS} tries: away")),
        (Postponed("away"), POSTPONED_ATTEMPTS + 9, DeadLetter(f"gave up after {POSTPONED_ATTEMPTS + 9} tries: away")),
        (KeyError("secret"), 1, Retry("KeyError")),
        (KeyError("secret"), FAILED_ATTEMPTS - 1, Retry("KeyError")),
        (KeyError("secret"), FAILED_ATTEMPTS, DeadLetter(f"gave up after {FAILED_ATTEMPTS} tries: KeyError")),
        (KeyError("secret"), FAILED_ATTEMPTS + 1, DeadLetter(f"gave up after {FAILED_ATTEMPTS + 1} tries: KeyError")),
        (TimeoutError(), 1, Retry("TimeoutError")),
        (ExceptionGroup("two", [ValueError("secret")]), 1, Retry("ExceptionGroup")),
    ],
    ids=repr,
)
def test_decide(error: Exception | None, attempt: int, outcome: object) -> None:
    """Success is done, refusal is final at once, the world's fault waits long, a bug is tried a few times."""
    assert decide(error, attempt=attempt) == outcome


@given(
    st.sampled_from([Refused, Postponed, ValueError]), st.text(max_size=2000), st.integers(min_value=1, max_value=200)
)
@settings(max_examples=100, deadline=None)
def test_reasons_fit_in_a_header(kind: type[Exception], message: str, attempt: int) -> None:
    """A reason is one line of bounded length, whatever the error says."""
    outcome = decide(raised(kind(message)), attempt=attempt)
    assert isinstance(outcome, Retry | DeadLetter)
    assert len(outcome.reason) <= REASON_LENGTH + 40
    assert len(outcome.reason.splitlines()) <= 1


@given(st.integers(min_value=1, max_value=100), st.sampled_from([Postponed("x"), ValueError("x")]))
@settings(max_examples=60, deadline=None)
def test_once_given_up_for_ever(attempt: int, error: Exception) -> None:
    """Nothing that was given up is tried again at a later attempt."""
    if isinstance(decide(error, attempt=attempt), DeadLetter):
        assert isinstance(decide(error, attempt=attempt + 1), DeadLetter)


def test_an_unforeseen_error_tells_its_place_and_not_its_message() -> None:
    """A bug's reason names its kind, file, line and function; its message, which may quote a payload, stays out."""
    reason = where(raised(ValueError("Nadia's salary is 100")))
    assert reason.startswith("ValueError at test_outcome.py:")
    assert reason.endswith(" in raised")
    assert "salary" not in reason


def test_the_place_is_in_our_code() -> None:
    """For an error out of a library, the place is where our code called it."""
    with pytest.raises(httpx.InvalidURL) as caught:
        httpx.URL("http://a:x")
    assert where(caught.value).startswith("InvalidURL at test_outcome.py:")
    assert where(caught.value).endswith(" in test_the_place_is_in_our_code")


def test_subclasses_count_as_their_kind() -> None:
    """A refusal or postponement of a special kind is one."""

    class Special(Refused):
        pass

    class Away(Postponed):
        pass

    assert isinstance(decide(Special("x"), attempt=1), DeadLetter)
    assert isinstance(decide(Away("x"), attempt=FAILED_ATTEMPTS), Retry)


def test_postponed_lasts_about_a_day() -> None:
    """On the default ladder, what waits for the world waits more than a day and less than two, then it is set aside."""
    queue = Queue(consumer="x", bindings=(), ladder=DEFAULT_LADDER)
    waited = timedelta(seconds=sum(queue.delay(attempt - 1) for attempt in range(1, POSTPONED_ATTEMPTS)))
    assert timedelta(days=1) < waited < timedelta(days=2)
