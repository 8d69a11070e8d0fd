"""The model under docs/scaling.md: a consumer takes what is there, up to a batch, and a batch takes a time of its own.

Events arrive at random at a mean rate; each of the replicas takes what waits, at most `BATCH`. A batch takes as long as
some event took when nothing waited (drawn from what was measured), and `each` for every further event in it, which
follows from the rate at which a consumer that never waits applies full batches.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from statistics import median, quantiles
from typing import Final

from consumers.worker import BATCH

SEED: Final = 7
EVENTS: Final = 60_000


def each(saturated: float, fixed: float) -> float:
    """Seconds an event adds to its batch, from the events a second of one replica that never waits."""
    return max(0.0, BATCH / saturated - fixed) / BATCH


def waits(rate: float, *, alone: Sequence[float], saturated: float, replicas: int = 1) -> tuple[float, float]:
    """Milliseconds from arrival to commit: median and 99th percentile; infinite where more arrives than is applied.

    `alone`: seconds that events took, one by one, when nothing waited.
    """
    if rate >= saturated * replicas:
        return float("inf"), float("inf")
    chance = random.Random(SEED)  # noqa: S311  a fixed order, so that two computations agree
    moment, arrivals = 0.0, list[float]()
    for _ in range(EVENTS):
        moment += chance.expovariate(rate)
        arrivals.append(moment)
    free, taken, found = [0.0] * replicas, 0, list[float]()
    adds = each(saturated, median(alone))
    while taken < EVENTS:
        began = max(heapq.heappop(free), arrivals[taken])
        batch = 1
        while batch < BATCH and taken + batch < EVENTS and arrivals[taken + batch] <= began:
            batch += 1
        done = began + chance.choice(alone) + (batch - 1) * adds
        found += [done - arrivals[taken + place] for place in range(batch)]
        heapq.heappush(free, done)
        taken += batch
    cuts = quantiles(found, n=100)
    return cuts[49] * 1000, cuts[98] * 1000
