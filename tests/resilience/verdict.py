"""What became of every delivery: accepted, applied, lost, doubled; how long that took; and what is wrong with it."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any, Final
from uuid import UUID

from bench.shown import READ, shown
from tests.resilience.load import NO_ANSWER, Offered
from tests.resilience.rig import Rig

ANSWER_SECONDS: Final = 5.0
RECOVERY_SECONDS: Final = 10.0
NORMAL_SECONDS: Final = 2.0
"""From a change to its row on a good day, at most: twice what we promise, for the machine is shared by everybody."""
SETTLE_SECONDS: Final = 90.0
FATAL: Final = frozenset({301, 302, 303, 307, 308, 401, 410})
"""Answers that suspend or lose a webhook (clickup-facts)."""
CLAIMED: Final = "SELECT count(*)::int FROM kb.inbox WHERE consumer = 'knowledge' AND event_id = ANY ($1)"
JOURNALED: Final = "SELECT count(DISTINCT event_id)::int FROM kb.journal WHERE event_id = ANY ($1)"
COUNTED: Final = """
    SELECT s.total_synced_tasks - (SELECT coalesce(sum(version), 0)::int FROM kb.objects WHERE external_type = 'task')
    FROM kb.clickup_sync_state s"""
SHOWN: Final = """
    SELECT external_id, title, body, properties ->> 'time_estimate' AS estimate
    FROM kb.objects WHERE external_type = 'task' AND deleted_at IS NULL"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one fault did.

    Attributes:
        lost: accepted and never applied, or not in the delivery log.
        doubled: changes counted more than once by what follows the applied changes.
        different: tasks whose row is not what the source says.
        longest: seconds of the longest answer.
        recovery: seconds from the fault's end until every change was in its row as soon as on a good day.
        fresh: median seconds from a change to its row, over all of it.
        unanswered: attempts without an answer; the source repeats those.
    """

    fault: str
    deliveries: int
    accepted: int
    answers: Mapping[int, int]
    unanswered: int
    open: int
    lost: int
    doubled: int
    different: int
    longest: float
    recovery: float
    fresh: float
    wrong: Sequence[str] = field(default_factory=tuple)


async def judge(
    rig: Rig, fault: str, offered: Offered, *, left: int, ended: datetime, may_refuse: bool, patience: float
) -> Verdict:
    """Wait until everything accepted is applied, or for `SETTLE_SECONDS`, and count. `ended`: of the fault."""
    lost = await _lost(rig, list(offered.accepted), SETTLE_SECONDS * patience)
    doubled, differing = await _effects(rig, SETTLE_SECONDS * patience)
    answers = Counter(offered.answers)
    unanswered = answers.pop(NO_ANSWER, 0)
    rows = await rig.sql.fetch(READ, offered.stated[0][3])
    waits = [(told, at) for (*_, told), at in zip(offered.stated, shown(offered.stated, rows), strict=True) if at]
    fresh = median([(at - told).total_seconds() for told, at in waits] or [math.inf])
    recovery = recovered(waits, ended)
    wrong = [
        f"{what}: {count}"
        for what, count in {
            "never taken": left,
            "lost": lost,
            "doubled": doubled,
            "rows that differ from the source": differing,
            "answers that suspend the hook": sum(answers[status] for status in FATAL),
            "answers 503 while a store was there": 0 if may_refuse else answers[503],
            "other answers": sum(count for status, count in answers.items() if status not in {200, 503, *FATAL}),
        }.items()
        if count
    ]
    if offered.longest > ANSWER_SECONDS:
        wrong.append(f"an answer took {offered.longest:.1f} s")
    if recovery > RECOVERY_SECONDS:
        wrong.append(f"recovery took {recovery:.1f} s")
    return Verdict(
        fault=fault, deliveries=offered.deliveries, accepted=len(offered.accepted), answers=answers,
        unanswered=unanswered, open=left, lost=lost, doubled=doubled, different=differing, longest=offered.longest,
        recovery=recovery, fresh=fresh, wrong=tuple(wrong),
    )  # fmt: skip


def recovered(waits: Sequence[tuple[datetime, datetime]], ended: datetime) -> float:
    """Seconds after `ended` from which on no change took longer than `NORMAL_SECONDS`. Each: told, shown."""
    late = [shown_at for told, shown_at in waits if (shown_at - told).total_seconds() > NORMAL_SECONDS]
    return max(0.0, (max(late, default=ended) - ended).total_seconds())


async def _lost(rig: Rig, accepted: list[UUID], within: float) -> int:
    """How many are not applied or not in the delivery log, once all are or it has taken too long."""
    deadline = time.monotonic() + within
    while True:
        claimed, journaled = [await rig.sql.fetchval(query, accepted) for query in (CLAIMED, JOURNALED)]
        found = min(int(claimed), int(journaled))
        if found == len(accepted) or time.monotonic() > deadline:
            return len(accepted) - found
        await asyncio.sleep(0.5)


async def _effects(rig: Rig, within: float) -> tuple[int, int]:
    """Changes counted too often or too seldom, and tasks that are not as in the source; once nothing moves any more."""
    deadline, found = time.monotonic() + within, (0, 0)
    while time.monotonic() < deadline:
        found = await rig.sql.fetchval(COUNTED), different(rig, await rig.sql.fetch(SHOWN))
        if found == (0, 0) and not await rig.sql.fetchval("SELECT count(*) FROM kb.outbox"):
            break
        await asyncio.sleep(0.5)
    return abs(found[0]), found[1]


def different(rig: Rig, rows: Sequence[Any]) -> int:
    """How many of the edited tasks have another name, description or estimate in their row, or no row."""
    shown = {row["external_id"]: (row["title"], row["body"], row["estimate"]) for row in rows}
    expected = {
        task.id: (task.name, task.description or None, str(task.time_estimate) if task.time_estimate else None)
        for task in rig.simulator.workspace.tasks.values()
    }
    return sum(shown.get(id_) != expected[id_] for id_ in rig.load.edited)
