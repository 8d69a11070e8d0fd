"""The walk fits the page that it walks; walking itself is `make walk`."""

from __future__ import annotations

import pytest

from tests.deploy.reading import blocks
from tests.walk.__main__ import AFTER
from tests.walk.checks import LOOPBACK


def test_it_looks_after_steps_that_exist() -> None:
    """What it checks belongs to headings of the page."""
    assert AFTER.keys() <= {heading for heading, _ in blocks()}


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("0100007F", True),
        ("0101007F", True),
        ("00000000", False),
        ("0100000A", False),
        ("00000000000000000000000001000000", True),
        ("0000000000000000FFFF00000100007F", True),
        ("00000000000000000000000000000000", False),
        ("0000000000000000FFFF00000100000A", False),
    ],
)
def test_what_is_loopback(address: str, inside: bool) -> None:
    """As the kernel writes addresses: words of four octets, each back to front."""
    assert (LOOPBACK.fullmatch(address) is not None) is inside
