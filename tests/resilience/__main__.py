"""`make faults`: every fault under load, one line each. `--scorecard` writes them to docs/scorecard.md, too.

`--broken` runs each fault against the build that must fail it. Words choose faults: `make faults ONLY=PostgreSQL`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.resilience import scorecard
from tests.resilience.faults import FAULTS, Fault
from tests.resilience.rig import CLOCK, NAMES, ROOT, Rig, library, rig
from tests.resilience.run import suffer
from tests.resilience.verdict import Verdict
from tests.resilience.versions import previous, unpack
from tests.services.packages import install
from tests.services.server import ServiceError

RATE: Final = 300.0
WARM_UP_SECONDS: Final = 8.0
LIBRARIES: Final = {CLOCK: "libfaketime", NAMES: "libnss-wrapper"}
"""What turns the programs' clocks and host names, and the Debian package that has it."""
BROKEN: Final = ("-m", "tests.resilience.broken")


def main() -> int:
    """Run; 0 if everything is as it must be."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started ends, too
    options = argparse.ArgumentParser(prog="python -m tests.resilience")
    options.add_argument("words", nargs="*", help="faults whose names contain one of these; all without")
    options.add_argument("--rate", type=float, default=RATE, help="signed deliveries a second")
    options.add_argument("--broken", action="store_true", help="each against the build that must fail it")
    options.add_argument("--scorecard", action="store_true", help="write docs/scorecard.md")
    given = options.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # thousands wait for an answer while both stores are away
    chosen = {name: fault for name, fault in FAULTS.items() if _wanted(name, given.words)}
    if missing := [package for name, package in LIBRARIES.items() if library(name) is None]:
        with suppress(ServiceError):  # whoever may not install does without the faults that need them
            install(missing)
    for name in [name for name, fault in chosen.items() if fault.lacks]:
        sys.stdout.write(f"{name}: left out, {chosen.pop(name).lacks}\n")
    if given.broken:
        return uvloop.run(broken(chosen, rate=given.rate, written=given.scorecard))
    verdicts = uvloop.run(sound(chosen, rate=given.rate))
    scorecard.show(verdicts)
    if given.scorecard:
        scorecard.write(verdicts, rate=given.rate)
    return 1 if any(verdict.wrong for verdict in verdicts) or len(verdicts) < len(chosen) else 0


def _wanted(name: str, words: Sequence[str]) -> bool:
    return not words or any(word.lower() in name.lower() for word in words)


async def sound(faults: dict[str, Fault], *, rate: float) -> list[Verdict]:
    """One rig suffers all of them, one after the other: nothing of ours is restarted in between. Those that begin with
    an older version have one of their own.
    """
    verdicts: list[Verdict] = []
    folder = Path(tempfile.mkdtemp(prefix="kb-resilience-"))
    with _progress() as progress:
        task = progress.add_task("starting", total=len(faults))
        for upgrade in (False, True):
            group = {name: fault for name, fault in faults.items() if fault.upgrade == upgrade}
            if not group:
                continue
            async with _warm(folder, rate=rate, upgrade=upgrade) as one:
                for name, fault in group.items():
                    progress.update(task, description=name)
                    verdict = await suffer(one, name, fault)
                    verdicts.append(verdict)
                    progress.advance(task)
                    progress.console.print(scorecard.line(verdict), highlight=False)
    if any(verdict.wrong for verdict in verdicts):
        sys.stdout.write(f"the programs' logs are in {folder}\n")
    else:
        await asyncio.to_thread(shutil.rmtree, folder)
    return verdicts


@asynccontextmanager
async def _warm(folder: Path, *, rate: float, upgrade: bool, main: Sequence[str] = ("-m", "cli")) -> AsyncIterator[Rig]:
    """A rig at work."""
    with tempfile.TemporaryDirectory(prefix="kb-previous-") as older:
        revision = previous() if upgrade else None
        source = unpack(revision, Path(older)) if revision is not None else ROOT
        async with rig(folder, rate=rate, main=main, source=source) as one:
            await one.started()
            await one.load.run(WARM_UP_SECONDS)
            await one.load.drained(WARM_UP_SECONDS)
            yield one


async def broken(faults: dict[str, Fault], *, rate: float, written: bool) -> int:
    """Every fault must be seen to fail with its bug: a rig for each bug."""
    seen: dict[str, tuple[str, str]] = {}
    by_bug = sorted(faults.items(), key=lambda item: item[1].breaks)
    with _progress() as progress, tempfile.TemporaryDirectory(prefix="kb-broken-") as folder:
        task = progress.add_task("starting", total=len(faults))
        for bug, group in itertools.groupby(by_bug, key=lambda item: item[1].breaks):
            for name, fault in group:
                progress.update(task, description=f"{name}, with the bug {bug}")
                async with _warm(Path(folder), rate=rate, upgrade=fault.upgrade, main=(*BROKEN, bug)) as one:
                    verdict = await suffer(one, name, fault, patience=SHORT)
                progress.advance(task)
                seen[name] = (bug, "; ".join(verdict.wrong))
                progress.console.print(f"{name:<36} {bug:<10} {seen[name][1] or 'NOT SEEN'}", highlight=False)
    if written:
        scorecard.write_broken({name: seen[name] for name in faults})
    return 0 if all(how for _, how in seen.values()) else 1


SHORT: Final = 0.2
"""With a bug nothing may ever settle: a fifth of the patience is enough."""


def _progress() -> Progress:
    console = Console(width=None if sys.stdout.isatty() else 200)
    columns = (SpinnerColumn(), TextColumn("{task.completed}/{task.total} {task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


if __name__ == "__main__":
    sys.exit(main())
