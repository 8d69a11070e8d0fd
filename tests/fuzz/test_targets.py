"""Each target on a few inputs, always the same ones; `make fuzz` goes on with others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import hypothesis
import pytest

from gallery.paging import EARLIEST, LATEST, near
from tests.fuzz.targets import TARGETS

FEW = hypothesis.settings(
    derandomize=True, max_examples=25, deadline=None, database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_it_holds_for_any_input(name: str) -> None:
    """The errors that are named and no others; what goes round comes back the same."""
    target: Callable[[], None] = TARGETS[name]
    FEW(target)()


@pytest.mark.parametrize(
    ("when", "nearest"),
    [("1970-01-01T00:00:00+14:00", EARLIEST), ("9998-12-31T23:30:00-23:00", LATEST),
     ("0001-01-01T00:00:00+14:00", EARLIEST), ("9999-12-31T23:59:59-23:00", LATEST)],
)  # fmt: skip
def test_found_the_nearest_time_is_of_the_instant(when: str, nearest: datetime) -> None:
    """In another zone it is another year: the year that a time is written with does not count."""
    assert near(datetime.fromisoformat(when)) == nearest
