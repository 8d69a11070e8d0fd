"""What `up` shows: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.output import say
from ingest import metrics
from schema.errors import DatabaseUnavailable
from schema.postgres import Database
from schema.records import TYPES

TERMINAL_SECONDS: Final = 0.5
PLAIN_SECONDS: Final = 2.0
RECENT: Final = 8
SIGNS: Final[Mapping[str, tuple[str, str]]] = {
    "created": ("+", "green"),
    "updated": ("~", "cyan"),
    "deleted": ("-", "red"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One look at the installation."""

    accepted: int
    applied: int
    waiting: int
    dead: int
    p50: float | None
    p99: float | None
    objects: Mapping[str, tuple[int, int]]
    recent: Sequence[Mapping[str, Any]]


async def take(database: Database) -> View:
    """Ask the database. Raises `DatabaseUnavailable`."""
    row = await database.fetchrow("overview")
    assert row is not None  # noqa: S101  it always has one
    counts = await database.fetch("overview_objects")
    return View(
        accepted=metrics.accepted(),
        applied=row["applied"],
        waiting=row["waiting"],
        dead=row["dead"],
        p50=row["p50"],
        p99=row["p99"],
        objects={one["external_type"]: (one["living"], one["deleted"]) for one in counts},
        recent=[dict(one) for one in await database.fetch("overview_recent", RECENT)],
    )


async def show(database: Database, *, header: Sequence[tuple[str, str]], stop: asyncio.Event) -> None:
    """Show until `stop`. On a large database it looks less often: asking costs at most a tenth of the time."""
    if not sys.stdout.isatty():
        await _lines(database, header, stop)
        return
    console = Console()
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while not stop.is_set():
            started = time.monotonic()
            with suppress(DatabaseUnavailable):
                live.update(draw(await take(database), header), refresh=True)
            await _pause(max(TERMINAL_SECONDS, 10 * (time.monotonic() - started)), stop)


async def _lines(database: Database, header: Sequence[tuple[str, str]], stop: asyncio.Event) -> None:
    for name, value in header:
        say(f"{name:<12} {value}")
    while not stop.is_set():
        started = time.monotonic()
        with suppress(DatabaseUnavailable):
            say(line(await take(database)))
        await _pause(max(PLAIN_SECONDS, 10 * (time.monotonic() - started)), stop)


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def line(view: View) -> str:
    """A view in one line."""
    objects = " ".join(f"{kind}={view.objects[kind][0]}" for kind in TYPES if kind in view.objects)
    return (
        f"accepted={view.accepted} applied={view.applied} waiting={view.waiting} dead={view.dead} "
        f"freshness_p50={_ms(view.p50)} freshness_p99={_ms(view.p99)} {objects}"
    ).rstrip()


def draw(view: View, header: Sequence[tuple[str, str]]) -> RenderableType:
    """A view for a terminal."""
    where = Table(box=None, show_header=False, pad_edge=False)
    for name, value in header:
        where.add_row(Text(name, style="bold"), Text(value))
    figures = Columns(
        [
            _figure("accepted", f"{view.accepted:,}", "bold"),
            _figure("applied", f"{view.applied:,}", "bold green"),
            _figure("waiting", f"{view.waiting:,}", "bold"),
            _figure("dead letters", f"{view.dead:,}", "bold red" if view.dead else "bold"),
            _figure("freshness p50", _ms(view.p50), "bold cyan"),
            _figure("freshness p99", _ms(view.p99), "bold cyan"),
        ]
    )
    return Group(where, "", figures, Columns([_objects(view), _recent(view)]), Text("Ctrl-C stops everything", "dim"))


def _figure(name: str, value: str, style: str) -> Panel:
    return Panel(Text(value, style=style, justify="right"), title=name, width=19, title_align="left")


def _objects(view: View) -> Panel:
    grid = Table(box=None, header_style="dim", pad_edge=False)
    grid.add_column("type")
    grid.add_column("living", justify="right")
    grid.add_column("deleted", justify="right", style="dim")
    grid.add_column("")
    most = max((living for living, _ in view.objects.values()), default=1) or 1
    for kind in TYPES:
        living, deleted = view.objects.get(kind, (0, 0))
        if living or deleted:
            grid.add_row(
                kind, f"{living:,}", f"{deleted:,}" if deleted else "", Text("█" * round(16 * living / most), "blue")
            )
    return Panel(grid, title="knowledge base", title_align="left", width=52)


def _recent(view: View) -> Panel:
    grid = Table(box=None, show_header=False, pad_edge=False, expand=True)
    grid.add_column(min_width=1, no_wrap=True)
    grid.add_column(min_width=10, no_wrap=True)
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for row in view.recent:
        sign, style = SIGNS[row["action"]]
        grid.add_row(Text(sign, style), Text(row["external_type"], "dim"), Text(row["title"] or "", style))
    return Panel(grid, title="just now", title_align="left", width=64, height=RECENT + 2)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}ms"
