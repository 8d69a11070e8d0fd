"""What commands print: tables that align for people, JSON for scripts, errors in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH: Final = 220


def json(value: object) -> None:
    """Print a value as JSON."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
    sys.stdout.buffer.write(orjson.dumps(value, option=options, default=_plain))
    sys.stdout.buffer.flush()


def _plain(value: object) -> object:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value)


def table(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    """Print rows under titles, or say why there are none. `columns`: field to title."""
    found = list(rows)
    if not found:
        say(empty)
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in columns.values():
        grid.add_column(title, overflow="fold")
    for row in found:
        grid.add_row(*(Text(cell(row.get(field))) for field in columns))
    _console().print(grid)


def fields(pairs: Sequence[tuple[str, object]]) -> None:
    """Print one thing, a field a line."""
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(Text(name), Text(cell(value)))
    _console().print(grid)


def _console() -> Console:
    """As wide as the terminal; wide enough for a row where there is none."""
    return Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH)


def cell(value: object) -> str:
    """A value as people read it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case _:
            return str(value)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a line beside what the command prints."""
    sys.stderr.write(f"{' '.join(text.split())}\n")
    sys.stderr.flush()


def complain(text: str) -> None:
    """Print an error in one line."""
    sys.stderr.write(f"error: {' '.join(text.split())}\n")


class Failed(Exception):
    """A command that did not work: one line that says why and what to do."""


class Misused(Exception):
    """A command that was called wrongly."""
