"""What ingest counts, for Prometheus. Labels are bounded: no ids."""

from __future__ import annotations

import functools
import os
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS: Final = Counter("kb_ingest_requests", "Answered deliveries.", ["outcome", "status"])
SECONDS: Final = Histogram(
    "kb_ingest_request_seconds",
    "Time from request to answer.",
    ["outcome"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
STORED: Final = Counter("kb_ingest_stored", "Accepted deliveries by where they were stored: broker or spool.", ["by"])
SPOOLED: Final = Gauge(
    "kb_spool_messages", "Deliveries that wait in the spool for the broker.", multiprocess_mode="mostrecent"
)
SPOOL_AGE: Final = Gauge(
    "kb_spool_oldest_seconds", "How long the oldest of them has waited.", multiprocess_mode="mostrecent"
)


SPOOL_MOST: Final = Gauge("kb_spool_limit_messages", "How many the spool may hold.", multiprocess_mode="mostrecent")


def spool(messages: int, oldest_seconds: float, most: int) -> None:
    """What the spool holds now, and may hold."""
    SPOOLED.set(messages)
    SPOOL_AGE.set(oldest_seconds)
    SPOOL_MOST.set(most)


@functools.cache
def _answers(outcome: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(outcome, str(status)), SECONDS.labels(outcome)


def answered(outcome: str, status: int, seconds: float) -> None:
    """Count one answer."""
    count, took = _answers(outcome, status)
    count.inc()
    took.observe(seconds)


stored = functools.cache(STORED.labels)
"""The count of one place to store."""


def accepted() -> int:
    """Deliveries accepted by this process so far."""
    return sum(
        int(sample.value)
        for metric in REQUESTS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["outcome"] == "accepted"
    )


def exposition() -> tuple[bytes, str]:
    """All metrics and their media type; of all workers, when the parent set a folder for that."""
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no annotation here
    return generate_latest(registry), CONTENT_TYPE_LATEST
