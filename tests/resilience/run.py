"""One fault under load, from the calm before it to the count after it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from tests.resilience.faults import Fault
from tests.resilience.rig import Rig
from tests.resilience.verdict import Verdict, judge

CALM_SECONDS: Final = 3.0
AFTER_SECONDS: Final = 12.0
"""Longer than a recovery may take."""
DRAIN_SECONDS: Final = 20.0
MOST_SECONDS: Final = 180.0


async def suffer(rig: Rig, name: str, fault: Fault, *, patience: float = 1.0, after: float = AFTER_SECONDS) -> Verdict:
    """Offer load, let the fault happen and pass, and judge what became of every delivery.

    `patience`: a share of the time that is waited for everything to settle. `after`: seconds of load after the fault.
    """
    rig.load.fresh()
    load = asyncio.create_task(rig.load.run(MOST_SECONDS))
    try:
        async with asyncio.timeout(MOST_SECONDS):
            await asyncio.sleep(CALM_SECONDS)
            async with fault.inject(rig):
                await asyncio.sleep(fault.seconds)
            ended = datetime.now(UTC)
            await asyncio.sleep(after)
    finally:
        load.cancel()
    left = await rig.load.drained(DRAIN_SECONDS * patience)
    return await judge(
        rig, name, rig.load.offered, left=left, ended=ended, may_refuse=fault.may_refuse, patience=patience
    )
