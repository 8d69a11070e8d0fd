"""Each target on a few inputs, always the same ones; `make fuzz` goes on with others."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
import pytest

from tests.fuzz.targets import TARGETS

FEW = hypothesis.settings(
    derandomize=True, max_examples=40, deadline=None, database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_it_holds_for_any_input(name: str) -> None:
    """The errors that are named and no others; what goes round comes back the same."""
    target: Callable[[], None] = TARGETS[name]
    FEW(target)()
