"""What the consumers count, for Prometheus. Labels are bounded: no ids."""

from __future__ import annotations

import collections
import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from prometheus_client import Counter, Histogram

from consumers.outcome import DeadLetter, Done, Outcome, Retry
from events.bus import Delivery
from events.envelope import published_at

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
CHANGE: Final = Histogram(
    "kb_change_to_row_seconds",
    "From a change at the source to its row, where the source gives a time. how: stated by the delivery, or read.",
    ["how"],
    buckets=_SECONDS,
)
RECEIVED: Final = Histogram(
    "kb_received_to_row_seconds",
    "From the receipt of a delivery to its row. how: stated by the delivery, or read.",
    ["how"],
    buckets=_SECONDS,
)
READS: Final = Counter("kb_source_reads", "Things read from sources because of deliveries.")
SAVED: Final = Counter("kb_source_reads_saved", "Deliveries that a read for another one, or none, was enough for.")
AMENDED: Final = Counter(
    "kb_amended_attributes", "Attributes that deliveries stated, as the next read found them.", ["verdict"]
)
DELIVERIES: Final = Counter(
    "kb_consumer_deliveries", "Settled deliveries. outcome: done, retry or dead.", ["consumer", "outcome"]
)
LAG: Final = Histogram(
    "kb_consumer_lag_seconds",
    "From the hand-over of a message to the broker to its first hand-out to a consumer.",
    ["consumer"],
    buckets=_SECONDS,
)
BATCH: Final = Histogram(
    "kb_consumer_batch_seconds", "Time to handle and settle a batch.", ["consumer"], buckets=_SECONDS
)
RELAYED: Final = Counter("kb_outbox_relayed", "Events of applied changes and of jobs that were published.")
OUTCOMES: Final = {Done: "done", Retry: "retry", DeadLetter: "dead"}


def received(consumer: str, deliveries: Sequence[Delivery], now: datetime) -> None:
    """What came from the queue; a message that comes again tells nothing of the queue's lag."""
    lag = LAG.labels(consumer)
    for delivery in deliveries:
        at = published_at(delivery.headers)
        if at is not None and delivery.attempt == 1 and delivery.deliveries == 1:
            lag.observe(max(0.0, (now - at).total_seconds()))


def settled(consumer: str, outcomes: Sequence[Outcome], seconds: float) -> None:
    """What became of a batch."""
    for kind, count in collections.Counter(map(type, outcomes)).items():
        if (name := OUTCOMES.get(kind)) is not None:
            DELIVERIES.labels(consumer, name).inc(count)
    if outcomes:
        BATCH.labels(consumer).observe(seconds)


@functools.cache
def _landings(how: str) -> tuple[Histogram, Histogram]:
    return CHANGE.labels(how), RECEIVED.labels(how)


def landed(how: str, *, changed_at: datetime | None, received_at: datetime, now: datetime) -> None:
    """A change is in its row."""
    change, receipt = _landings(how)
    if changed_at is not None:
        change.observe(max(0.0, (now - changed_at).total_seconds()))
    receipt.observe(max(0.0, (now - received_at).total_seconds()))


def compared(confirmed: int, corrected: int) -> None:
    """What a read found of amended attributes."""
    AMENDED.labels("confirmed").inc(confirmed)
    AMENDED.labels("corrected").inc(corrected)
