"""The short form of `make faults`: the faults that no other test has, with the real programs, at a gentle rate.

It starts servers of its own (find_rabbitmq, find_postgres; see tests/workers.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.resilience.faults import FAULTS
from tests.resilience.rig import rig
from tests.resilience.run import suffer

RATE = 60.0
CHOSEN = ("RabbitMQ: silent network", "PostgreSQL: failing over", "programs: each killed (-9)")
COUNTED = ("lost", "doubled", "rows that differ", "answers that suspend", "other answers", "never taken")
"""What does not depend on how busy the machine is; times are the scorecard's business."""


@pytest.mark.timeout(240)
async def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """Three faults in a row, nothing of ours restarted but what was killed."""
    async with rig(tmp_path, rate=RATE) as one:
        await one.started()
        await one.load.run(2)
        wrong = {}
        for name in CHOSEN:
            verdict = await suffer(one, name, FAULTS[name], after=6)
            assert verdict.accepted == verdict.deliveries > 0
            wrong[name] = [what for what in verdict.wrong if what.startswith(COUNTED)]
        assert not any(wrong.values()), wrong


def test_every_fault_names_the_bug_that_it_catches() -> None:
    """See `broken.py`."""
    from tests.resilience.broken import BUGS  # noqa: PLC0415  it loads every program

    assert {fault.breaks for fault in FAULTS.values()} == set(BUGS)
