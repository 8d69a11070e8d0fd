"""Draws docs/performance.svg from the tables of docs/performance.md: `python -m bench.picture`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
PICTURE: Final = PAGE.with_suffix(".svg")
WIDTH, LEFT, RIGHT, ROW = 860, 290, 130, 22
OURS: Final = ("kb-ingest", "the same")
TITLES: Final = {"contestant": "Ingest, {rate} at 64 connections", "consumer": "Consumers, {rate} from a backlog"}


class Bar(NamedTuple):
    """One row of a table: who, and how many a second; in words what it costs."""

    name: str
    rate: float
    cost: str


def tables(page: str) -> list[tuple[str, list[Bar]]]:
    """The first table of contestants and that of consumers, with a title each."""
    found: list[tuple[str, list[Bar]]] = []
    for first, title in TITLES.items():
        lines = page[page.index(f"| {first}") :].split("\n\n", 1)[0].splitlines()
        head, rows = _cells(lines[0]), [_cells(line) for line in lines[2:]]
        rate, cost = head.index("requests/s" if first == "contestant" else "events/s"), _cost(head)
        found.append((title.format(rate=head[rate]), [Bar(row[0], _number(row[rate]), row[cost]) for row in rows]))
    return found


def picture(found: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Bars of rates, ours in another colour."""
    height = sum(34 + ROW * len(bars) for _, bars in found) + 24
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'font-family="system-ui, sans-serif" font-size="12" role="img" '
            'aria-label="Ingest and consumers beside others">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    y = 10
    for title, bars in found:
        parts.append(f'<text x="{LEFT}" y="{y + 14}" font-weight="600" fill="#111">{title}</text>')
        y += 24
        scale = (WIDTH - LEFT - RIGHT) / max(bar.rate for bar in bars)
        for bar in bars:
            colour = "#2563eb" if bar.name.startswith(OURS) else "#9ca3af"
            width = max(1.0, bar.rate * scale)
            said = f"{bar.rate:,.0f}" + (f" · {bar.cost}" if bar.cost else "")
            parts += [
                f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end" fill="#111">{bar.name}</text>',
                f'<rect x="{LEFT}" y="{y + 4}" width="{width:.0f}" height="14" rx="2" fill="{colour}"/>',
                f'<text x="{LEFT + width + 6:.0f}" y="{y + 14}" fill="#374151">{said}</text>',
            ]
            y += ROW
        y += 10
    parts.append(f'<text x="{LEFT}" y="{height - 8}" fill="#6b7280">a second · its own CPU for one</text></svg>\n')
    return "\n".join(parts)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _cost(head: Sequence[str]) -> int:
    return next(place for place, title in enumerate(head) if "CPU" in title)


def _number(cell: str) -> float:
    """The first number of a cell."""
    return float(re.findall(r"[\d,.]+", cell)[0].replace(",", ""))


if __name__ == "__main__":
    PICTURE.write_text(picture(tables(PAGE.read_text())))
