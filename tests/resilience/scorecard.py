"""What was measured, for people: a table on the terminal, and docs/scorecard.md with a picture."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.resilience.broken import BUGS
from tests.resilience.verdict import ANSWER_SECONDS, RECOVERY_SECONDS, Verdict
from tests.services.rabbitmq import found_version

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "scorecard.md"
PICTURE: Final = DOCS / "scorecard.svg"
COLUMNS: Final = (
    "fault", "deliveries", "lost", "doubled", "503", "no answer", "longest answer", "recovery", "change to row",
)  # fmt: skip


def cells(verdict: Verdict) -> tuple[str, ...]:
    """One row."""
    return (
        verdict.fault,
        f"{verdict.deliveries:,}",
        str(verdict.lost),
        str(verdict.doubled),
        str(verdict.answers.get(503, 0)),
        str(verdict.unanswered),
        f"{verdict.longest:.1f} s",
        f"{verdict.recovery:.1f} s",
        f"{verdict.fresh * 1000:.0f} ms",
    )


def line(verdict: Verdict) -> str:
    """One verdict in a line, as soon as it is there."""
    fault, deliveries, lost, doubled, refused, unanswered, longest, recovery, fresh = cells(verdict)
    return (
        f"{fault:<36} {deliveries:>7} deliveries  lost {lost}  doubled {doubled}  503 {refused:>4}  no answer "
        f"{unanswered:>4}  longest {longest:>6}  recovery {recovery:>6}  to the row {fresh:>8}  "
        + ("; ".join(verdict.wrong) or "as promised")
    )


def show(verdicts: Sequence[Verdict]) -> None:
    """The table."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for column in COLUMNS:
        grid.add_column(column, justify="left" if column == "fault" else "right")
    for verdict in verdicts:
        grid.add_row(*cells(verdict), style="red" if verdict.wrong else "")
    Console(width=160).print(grid)


def write(verdicts: Sequence[Verdict], *, rate: float) -> None:
    """docs/scorecard.md between its two marks, and the picture."""
    table = markdown(COLUMNS, map(cells, verdicts))
    failed = [f"- {verdict.fault}: {'; '.join(verdict.wrong)}" for verdict in verdicts if verdict.wrong]
    misses = ["Not as promised in this run:", "", *failed] if failed else ["Everything as promised."]
    total = sum(verdict.deliveries for verdict in verdicts)
    said = [
        (
            f"Measured on {datetime.now(UTC):%d %B %Y} at {rate:g} signed deliveries a second, {total:,} in all; "
            f"{conditions()}."
        ),
        "",
        *table,
        "",
        *misses,
    ]
    put("faults", "\n".join(said))
    PICTURE.write_text(picture(verdicts))


def write_broken(seen: Mapping[str, tuple[str, str]]) -> None:
    """docs/scorecard.md: by fault the planted bug and how it was noticed. What it says of other faults stays."""
    bugs = {bug.__name__: " ".join((bug.__doc__ or "").split()).rstrip(".") for bug in BUGS.values()}
    said = PAGE.read_text().partition("<!-- broken -->")[2].partition("<!-- /broken -->")[0]
    rows = {line[2:].partition(" | ")[0]: line for line in said.splitlines() if line.startswith("| ")}
    rows.pop("fault", None)
    rows |= {fault: f"| {fault} | {bugs[bug]} | {how or '**not noticed**'} |" for fault, (bug, how) in seen.items()}
    put("broken", "\n".join(["| fault | the bug | noticed by |", "|---|---|---|", *rows.values()]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one program held, in megabytes: at the soak's beginning, its end, at most, and at most with a backlog."""

    program: str
    first: float
    last: float
    most: float
    backlog: float


def memory(held: Sequence[Held], wrong: Sequence[str], *, minutes: float, rate: float, events: int) -> str:
    """The table of memory, as Markdown."""
    columns = ("program", "at the beginning", "at the end", "at most", "at most with the backlog")
    rows = [
        (one.program.rpartition("-")[0], *(f"{size:.0f} MB" for size in (one.first, one.last, one.most, one.backlog)))
        for one in held
    ]
    began = (
        f"{minutes:g} minutes at {rate:g} signed deliveries a second, then {events:,} events that had waited for all"
    )
    misses = ["Not as promised in this run:", "", *(f"- {one}" for one in wrong)] if wrong else ["As promised."]
    return "\n".join([f"{began} consumers; {conditions()}.", "", *markdown(columns, rows), "", *misses])


def put(mark: str, text: str) -> None:
    """docs/scorecard.md with this between the two comments of a mark."""
    PAGE.write_text(between(PAGE.read_text(), mark, text))


def between(text: str, mark: str, new: str) -> str:
    """The text with what stands between the two comments of a mark replaced."""
    found = re.compile(f"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    if found.search(text) is None:
        raise ValueError(f"{PAGE.name} has no place for {mark}")
    return found.sub(lambda match: f"{match[1]}\n{new}\n\n{match[2]}", text)


def conditions() -> str:
    """Versions and hardware, in a phrase."""
    postgres = next(iter(sorted(Path("/usr/lib/postgresql").glob("*"), reverse=True)), Path("unknown"))
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"RabbitMQ {found_version()}, PostgreSQL {postgres.name}, Python {platform.python_version()}, "
        f"Linux {platform.release().partition('-')[0]}, {os.cpu_count()} cores ({processor[1] if processor else '?'}) "
        f"and {memory:.0f} GB shared by the programs, both servers, the source and the load; revision {_revision()}"
    )


def _revision() -> str:
    command = ["git", "-C", str(DOCS), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; all columns but the first are numbers."""
    lines = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


WIDTH: Final = 860
LEFT: Final = 250
ROW: Final = 22


def picture(verdicts: Sequence[Verdict]) -> str:
    """Bars: the longest answer and the recovery of each fault, beside their limits."""
    scale = (WIDTH - LEFT - 70) / RECOVERY_SECONDS
    height = 60 + ROW * len(verdicts)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'font-family="system-ui, sans-serif" font-size="12" role="img" '
            'aria-label="Longest answer and recovery for each fault">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" fill="#2563eb">longest answer (limit {ANSWER_SECONDS:g} s)</text>',
        f'<text x="{LEFT + 220}" y="20" fill="#b45309">recovery (limit {RECOVERY_SECONDS:g} s)</text>',
    ]
    for limit, colour in ((ANSWER_SECONDS, "#2563eb"), (RECOVERY_SECONDS, "#b45309")):
        x = LEFT + limit * scale
        parts.append(
            f'<line x1="{x:.0f}" x2="{x:.0f}" y1="30" y2="{height - 20}" stroke="{colour}" stroke-dasharray="3 3"/>'
        )
    for number, verdict in enumerate(verdicts):
        y = 34 + ROW * number
        part, _, name = verdict.fault.partition(": ")
        parts.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end" fill="#111">{part}: {name}</text>')
        for offset, seconds, colour in ((1, verdict.longest, "#2563eb"), (9, verdict.recovery, "#b45309")):
            width = max(1.0, min(seconds, RECOVERY_SECONDS) * scale)
            parts.append(f'<rect x="{LEFT}" y="{y + offset}" width="{width:.0f}" height="7" fill="{colour}"/>')
    parts.append(f'<text x="{LEFT}" y="{height - 6}" fill="#555">0 lost and 0 doubled are not drawn</text></svg>\n')
    return "\n".join(parts)
