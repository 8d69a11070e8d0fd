"""A job seen while it goes on: a bar with its rate and end on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Final, Self

from rich import progress as bars
from rich.console import Console

from cli.output import note, say

PLAIN_SECONDS: Final = 5.0


class Progress:
    """Shows a job's row, again and again. `shown=False` shows nothing, for scripts; `unit` is what is counted."""

    def __init__(self, *, shown: bool, unit: str = "calls") -> None:
        self._unit = unit
        self._plain = shown and not sys.stderr.isatty()
        self._said_at = 0.0
        self._bar: bars.Progress | None = None
        self._task = bars.TaskID(0)
        self._trouble: str | None = None
        if shown and not self._plain:
            self._bar = bars.Progress(
                bars.SpinnerColumn(),
                bars.TextColumn("{task.description:<12}"),
                bars.BarColumn(bar_width=None),
                bars.TextColumn("{task.completed:>6.0f}/{task.total:.0f} {task.fields[unit]}"),
                bars.TextColumn("{task.fields[beside]:>15}"),
                bars.TimeElapsedColumn(),
                bars.TextColumn("left"),
                bars.TimeRemainingColumn(compact=True),
                console=Console(stderr=True),
                transient=True,
                speed_estimate_period=120,
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("waiting", total=1, unit=self._unit, beside="")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, job: Any) -> None:
        """Show a row of `kb.jobs`; why it waits is said to scripts, too."""
        trouble = job["error"] if job["status"] == "running" else None
        if trouble is not None and trouble != self._trouble:
            self._waits(f"waiting: {trouble}")
        self._trouble = trouble
        objects = sum(sum(counts.values()) for counts in job["breakdown"].values())
        self.step(job["phase"] or job["status"], job["done"], job["total"], objects)

    def _waits(self, why: str) -> None:
        if self._bar is not None:
            self._bar.console.print(why, markup=False)
        else:
            say(why) if self._plain else note(why)

    def step(self, phase: str, done: int, total: int | None, objects: int | None = None) -> None:
        """Show how far it is: units done of those planned, and objects met."""
        total = max(total or 1, done, 1)
        beside = "" if objects is None else f"{objects} objects"
        if self._bar is not None:
            self._bar.update(self._task, description=phase, completed=done, total=total, beside=beside)
        elif self._plain and time.monotonic() - self._said_at >= PLAIN_SECONDS:
            self._said_at = time.monotonic()
            say(", ".join(filter(None, [f"{phase}: {done} of about {total} {self._unit}", beside])))
