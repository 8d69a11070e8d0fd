"""Charts as inline SVG. Pure: numbers in, markup out; colours come from the stylesheet's classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

WIDTH: Final = 600
HEIGHT: Final = 120
GAP: Final = 0.25


def bars(values: Sequence[float | None], label: str) -> Markup:
    """A bar for each value, the highest as high as the chart. `label` tells it to who cannot see it."""
    top = max((value for value in values if value), default=0.0)
    step = WIDTH / max(1, len(values))
    drawn = Markup().join(
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5"/>').format(
            at * step, HEIGHT - value / top * HEIGHT, step * (1 - GAP), value / top * HEIGHT
        )
        for at, value in enumerate(values)
        if value
    )
    return _svg("bars", drawn, label)


def line(values: Sequence[float | None], label: str) -> Markup:
    """A line through the values; where there is none it is interrupted."""
    top = max((value for value in values if value), default=0.0) or 1.0
    step = WIDTH / max(1, len(values) - 1)
    path, pen = "", "M"
    dots = ""
    for at, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        x, y = at * step, HEIGHT - 4 - value / top * (HEIGHT - 8)
        path, pen = f"{path}{pen}{x:.1f} {y:.1f}", "L"
        dots += f"M{x:.1f} {y:.1f}h0"
    return _svg("line", Markup('<path d="{}"/><path class="dots" d="{}"/>').format(path, dots), label)


def _svg(kind: str, inner: Markup, label: str) -> Markup:
    return Markup(
        '<svg class="chart {}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(kind, WIDTH, HEIGHT, label, inner)
