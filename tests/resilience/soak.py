"""`make soak`: an hour of steady load, and a million events that wait: does memory grow, and is anything lost?

Memory is what a program holds (resident, anonymous), read every few seconds. `--scorecard` writes docs/scorecard.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from events.rabbitmq import RabbitMQ
from ingest.snapshot import Known
from ingest.webhooks import wrap
from integrations.registry import providers
from tests.resilience import scorecard
from tests.resilience.rig import Program, Rig, rig
from tests.resilience.verdict import SHOWN, different, judge

SAMPLE_SECONDS: Final = 5.0
WARM_SHARE: Final = 0.1
"""Of the time, at its beginning and at its end, over which the two figures are medians."""
GROWTH: Final = 0.1
"""A program that holds a tenth more at the end than at the beginning, and `SLACK` megabytes, grows."""
SLACK: Final = 5.0
BATCH: Final = 500
DRAIN_SECONDS: Final = 3600.0
QUIET_SECONDS: Final = 5.0
CONSUMED: Final = "SELECT count(*)::int FROM kb.inbox WHERE consumer = 'knowledge'"
JOURNALED: Final = "SELECT count(*)::int FROM kb.journal"


@dataclass(slots=True)
class Memory:
    """What one program held, in megabytes, in the order of time."""

    held: list[float] = field(default_factory=list)

    @property
    def first(self) -> float:
        """At the beginning, once it was warm: the median of the second tenth of the time."""
        return median(self.held[int(len(self.held) * WARM_SHARE) :][: max(1, int(len(self.held) * WARM_SHARE))])

    @property
    def last(self) -> float:
        """In the end."""
        return median(self.held[-max(1, int(len(self.held) * WARM_SHARE)) :])

    @property
    def most(self) -> float:
        """Ever."""
        return max(self.held)

    @property
    def grows(self) -> bool:
        """Whether it held more and more."""
        return self.last > self.first * (1 + GROWTH) + SLACK


def holds(program: Program) -> float:
    """Megabytes that a program holds now; 0 if it is not there."""
    if program.process is None or program.process.poll() is not None:
        return 0.0
    said = Path(f"/proc/{program.process.pid}/status").read_text()
    return int(said.partition("RssAnon:")[2].split()[0]) / 1024


@asynccontextmanager
async def watched(programs: Sequence[Program]) -> AsyncIterator[dict[str, Memory]]:
    """What each program holds while this is open, by its log's name."""
    found = {program.log.stem: Memory() for program in programs}

    async def look() -> None:
        while True:
            for program in programs:
                found[program.log.stem].held.append(holds(program))
            await asyncio.sleep(SAMPLE_SECONDS)

    task = asyncio.create_task(look())
    try:
        yield found
    finally:
        task.cancel()


async def soak(one: Rig, seconds: float, progress: Progress) -> tuple[dict[str, Memory], list[str]]:
    """Steady load for so long; what was held, and what is wrong."""
    bar = progress.add_task("steady load", total=round(seconds))
    one.load.fresh()
    async with watched(one.programs) as found:
        load, began = asyncio.create_task(one.load.run(seconds)), time.monotonic()
        while not load.done():
            await asyncio.wait([load], timeout=1)
            progress.update(bar, completed=min(seconds, time.monotonic() - began))
        await load
    left = await one.load.drained(20)
    verdict = await judge(
        one, "soak", one.load.offered, left=left, ended=datetime.now(UTC), may_refuse=False, patience=1
    )
    grown = {name: memory for name, memory in found.items() if memory.grows}
    wrong = [f"{name} grew from {memory.first:.0f} to {memory.last:.0f} MB" for name, memory in grown.items()]
    return found, [*verdict.wrong, *wrong]


async def backlog(one: Rig, events: int, progress: Progress) -> tuple[dict[str, Memory], list[str], float]:
    """Let so many events wait, then let them be applied; what was held meanwhile, what is wrong, events a second."""
    consumers = [program for program in one.programs if program.name != "ingest"]
    await asyncio.gather(*(program.end() for program in consumers))
    before = [await one.sql.fetchval(query) for query in (CONSUMED, JOURNALED)]
    await publish(one, events, progress)
    began = time.monotonic()
    for program in consumers:
        program.wanted = True
    bar, done = progress.add_task("applying", total=events), 0
    async with watched(one.programs) as found:
        while done < events and time.monotonic() - began < DRAIN_SECONDS:
            await asyncio.sleep(2)
            counts = [await one.sql.fetchval(query) for query in (CONSUMED, JOURNALED)]
            done = min(count - earlier for count, earlier in zip(counts, before, strict=True))
            progress.update(bar, completed=done)
    seconds = time.monotonic() - began
    await asyncio.sleep(QUIET_SECONDS)
    wrong = {"lost": events - done, "rows that differ from the source": different(one, await one.sql.fetch(SHOWN))}
    return found, [f"{what}: {count}" for what, count in wrong.items() if count], done / seconds


async def publish(one: Rig, events: int, progress: Progress) -> None:
    """As ingest would, past it: what waits is the consumers' matter."""
    bus = RabbitMQ(one.broker.url)
    await bus.start(within=10)
    known, bodies = Known(id=one.integration_id, provider="clickup", enabled=True), one.load.bodies()
    bar = progress.add_task("publishing", total=events)
    for sent in range(0, events, BATCH):
        envelopes = [
            wrap(next(bodies), provider=providers()["clickup"], known=known, now=datetime.now(UTC), traceparent=None)
            for _ in range(min(BATCH, events - sent))
        ]
        await bus.publish(envelopes, within=30)
        one.load.fresh()  # what it remembers of a million edits is not what is measured
        progress.update(bar, advance=len(envelopes))
    await bus.close()


async def run(minutes: float, rate: float, events: int) -> tuple[list[scorecard.Held], list[str]]:
    """Both, in one rig; what each program held, and what is wrong."""
    text, many = TextColumn("{task.description}"), MofNCompleteColumn()
    bars = Progress(text, BarColumn(), many, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))
    with tempfile.TemporaryDirectory(prefix="kb-soak-") as folder, bars as progress:
        async with rig(Path(folder), rate=rate) as one:
            await one.started()
            await one.load.run(5)
            steady, wrong = await soak(one, minutes * 60, progress)
            waiting, more, applied = await backlog(one, events, progress)
    held = [
        scorecard.Held(program=name, first=memory.first, last=memory.last, most=memory.most, backlog=waiting[name].most)
        for name, memory in steady.items()
    ]
    Console().print(f"{applied:,.0f} of the waiting events a second were applied and journaled")
    return held, [*wrong, *more]


def main() -> int:
    """Run; 0 if nothing grew and nothing is lost."""
    options = argparse.ArgumentParser(prog="python -m tests.resilience.soak")
    options.add_argument("--minutes", type=float, default=60.0, help="of steady load")
    options.add_argument("--rate", type=float, default=100.0, help="signed deliveries a second")
    options.add_argument("--backlog", type=int, default=1_000_000, help="events that wait")
    options.add_argument("--scorecard", action="store_true", help="write docs/scorecard.md")
    given = options.parse_args()
    held, wrong = uvloop.run(run(given.minutes, given.rate, given.backlog))
    table = scorecard.memory(held, wrong, minutes=given.minutes, rate=given.rate, events=given.backlog)
    sys.stdout.write(table + "\n")
    if given.scorecard:
        scorecard.put("soak", table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
