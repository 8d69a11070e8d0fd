"""Where the time goes: a flame graph of each program under load, in build/flames. Needs py-spy (`make flames`)."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from rich.progress import Progress

from tests.resilience.rig import ROOT, Program, Rig, rig
from tests.resilience.soak import publish

FOLDER: Final = ROOT / "build" / "flames"
RATE: Final = 500.0
SECONDS: Final = 10
WARM_SECONDS: Final = 5.0
WAITING: Final = 100_000
SAMPLES: Final = 250
"""A second."""
STEADY: Final = ("ingest", "knowledge", "sync-state", "journal")
DRAINING: Final = ("knowledge", "journal")


async def main() -> None:
    """Record the programs at a steady rate, then those that have a backlog to apply."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kb-flames-") as folder, Progress(transient=True) as progress:
        async with rig(Path(folder), rate=RATE) as one:
            one.environment.pop("LD_PRELOAD", None)  # a clock that can be turned is a slow one
            programs = [one.add(name) for name in STEADY]
            await one.ready(programs[0])
            await one.load.run(WARM_SECONDS)
            recording = asyncio.gather(*(record(program, program.name) for program in programs))
            await one.load.run(SECONDS + 2)
            await recording
            await asyncio.gather(*(program.end() for program in programs))
            await publish(one, WAITING, progress)
            await asyncio.gather(*(drain(one, name) for name in DRAINING))
    Console().print(f"{FOLDER}: open one in a browser; the width is the share of samples")


async def drain(one: Rig, name: str) -> None:
    """Record a consumer that has a backlog."""
    program = one.add(name)
    await asyncio.sleep(WARM_SECONDS)
    await record(program, f"{name}-backlog")
    await program.end()


async def record(program: Program, name: str) -> None:
    """Raises `SystemExit` when it cannot."""
    assert program.process is not None  # noqa: S101  started
    command = [
        str(Path(sys.executable).parent / "py-spy"), "record", "--pid", str(program.process.pid), "--rate",
        str(SAMPLES), "--duration", str(SECONDS), "--output", str(FOLDER / f"{name}.svg"),
    ]  # fmt: skip
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, stderr=pipe)
    _, said = await asyncio.wait_for(process.communicate(), SECONDS + 60)
    if process.returncode:
        raise SystemExit(f"py-spy cannot look into {name}: {said.decode().strip()}")


if __name__ == "__main__":
    uvloop.run(main())
