"""What is counted of calls to sources, for Prometheus. Labels are bounded: no token, no path."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

CALLS: Final = Counter(
    "kb_api_calls",
    "Calls of sources' APIs. priority: webhook, sync, import; status: 2xx, 3xx, 4xx, 429, 5xx, none (no answer).",
    ["priority", "status"],
)
WAIT: Final = Histogram(
    "kb_api_turn_wait_seconds",
    "How long a call waited for its turn in the rate budget.",
    ["priority"],
    buckets=(0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
TOO_MANY: Final = 429


def called(priority: str, status: int | None) -> None:
    """Count one call."""
    CALLS.labels(priority, "none" if status is None else _word(status)).inc()


def _word(status: int) -> str:
    return str(status) if status == TOO_MANY else f"{status // 100}xx"
