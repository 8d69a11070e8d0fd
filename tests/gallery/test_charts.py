"""Charts: numbers in, markup out."""

from __future__ import annotations

import re

from gallery import charts
from gallery.rendering import advice


def test_bars_are_as_high_as_their_values() -> None:
    """The highest fills the chart, half of it is half as high, nothing is not drawn; the label is escaped."""
    drawn = charts.bars([0, 5, None, 10], 'a "label"')
    assert re.findall(r'height="([\d.]+)" rx', drawn) == ["60.0", "120.0"]
    assert "a &#34;label&#34;" in drawn
    assert "<rect" not in charts.bars([], "nothing")


def test_a_line_is_interrupted_where_there_is_nothing() -> None:
    """Two pieces, a dot for each value, the highest one at the top; a chart of nothing is empty."""
    drawn = charts.line([1.0, 2.0, None, 4.0], "x")
    path, dots = re.findall(r' d="([^"]*)"', drawn)
    assert (path.count("M"), path.count("L"), dots.count("M")) == (2, 1, 3)
    assert path.endswith("M600.0 4.0")
    assert re.findall(r' d="([^"]*)"', charts.line([None], "x")) == ["", ""]


def test_errors_of_the_source_come_with_advice() -> None:
    """By the name of the error; one that nobody knows is shown as it is."""
    assert "new one" in (advice("import: TokenRefused: GET /v2/user answered 401") or "")
    assert advice("the disk is full") is None
