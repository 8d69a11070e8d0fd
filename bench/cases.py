"""Questions to the database with a target each: how long they take, and the ratio to what they should."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from schema.errors import DatabaseUnavailable
from schema.postgres import Database

CALLS: Final = int(os.environ.get("CALLS", "200"))
WARM: Final = 8
"""Calls before: the server chooses between its kinds of plans after five."""
CASE_SECONDS: Final = 20.0
"""A slow question is asked less often."""
CALL_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A question, asked with other arguments each time. `target`: milliseconds for the 99th percentile."""

    what: str
    statement: str
    arguments: Callable[[int], tuple[object, ...]]
    target: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Milliseconds, and how many rows came."""

    case: Case
    p50: float
    p99: float
    rows: float
    calls: int
    late: int


async def ask(database: Database, cases: Sequence[Case]) -> list[Answer]:
    """Ask each of them again and again, on a pool's connections as the program does."""
    return [
        await _asked(database, case) for case in track(cases, "questions", console=Console(stderr=True), transient=True)
    ]


async def _asked(database: Database, case: Case) -> Answer:
    took, rows, late, began = list[float](), list[int](), 0, time.monotonic()
    for number in range(CALLS + WARM):
        started = time.perf_counter()
        try:
            found = await database.fetch(case.statement, *case.arguments(number), within=CALL_SECONDS)
            rows.append(len(found))
        except DatabaseUnavailable:
            late += 1
        if number >= WARM or time.perf_counter() - started > 1:
            took.append((time.perf_counter() - started) * 1000)
        if took and time.monotonic() - began > CASE_SECONDS:
            break
    p99 = statistics.quantiles(took, n=100, method="inclusive")[98] if len(took) > 1 else took[0]
    return Answer(
        case=case, p50=statistics.median(took), p99=p99, rows=statistics.mean(rows) if rows else 0, calls=len(took),
        late=late,
    )  # fmt: skip


def show(title: str, answers: Sequence[Answer]) -> None:
    """A row a question."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for column in (title, "rows", "p50 ms", "p99 ms", "target ms", "ratio", "calls"):
        grid.add_column(column, justify="left" if column == title else "right")
    for one in answers:
        calls = f"{one.calls}" + (f", {one.late} of them given up" if one.late else "")
        grid.add_row(
            one.case.what, f"{one.rows:.0f}", f"{one.p50:.1f}", f"{one.p99:.1f}", f"{one.case.target:g}",
            f"{one.p99 / one.case.target:.2f}", calls,
        )  # fmt: skip
    Console(width=130).print(grid)
