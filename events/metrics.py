"""What the bus counts, for Prometheus. Labels are bounded: no queue of a subscriber, no id."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec

from prometheus_client import Histogram

PUBLISH: Final = Histogram(
    "kb_publish_seconds",
    "Time from a publish to its confirm, whole batches at a time. to: rabbitmq, database or spool; "
    "outcome: stored or failed.",
    ["to", "outcome"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5, 5),
)

Arguments = ParamSpec("Arguments")
Publish = Callable[Arguments, Coroutine[Any, Any, None]]


def timed(to: str) -> Callable[[Publish[Arguments]], Publish[Arguments]]:
    """Measures a publish, and whether it was stored."""
    took = {outcome: PUBLISH.labels(to, outcome) for outcome in ("stored", "failed")}

    def decorate(publish: Publish[Arguments]) -> Publish[Arguments]:
        @functools.wraps(publish)
        async def measured(*given: Arguments.args, **named: Arguments.kwargs) -> None:
            started, outcome = time.monotonic(), "failed"
            try:
                await publish(*given, **named)
                outcome = "stored"
            finally:
                took[outcome].observe(time.monotonic() - started)

        return measured

    return decorate
