"""How the whole installation stands, for Prometheus: looked up in PostgreSQL by `upkeep`, again and again.

Every `upkeep` says the same, so whoever asks takes the largest of them. `kb_standing_timestamp_seconds` tells from when
the numbers are. Labels are bounded: kinds and states, no ids.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from schema.postgres import Database, Row

LOOK_SECONDS: Final = 10.0
UNKNOWN: Final = float("nan")
MINE: Final = CollectorRegistry()
"""Shown only by who looks: a 0 of somebody who does not would pass for an answer."""


def gauge(name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
    """A number of the whole installation."""
    return Gauge(name, meaning, labels, registry=MINE)


GAUGES: Final[Mapping[str, Gauge]] = {
    "integrations": gauge("kb_integrations", "Enabled integrations."),
    "failing": gauge("kb_integrations_failing", "Of them, those whose latest delivery or job failed."),
    "webhooks": gauge("kb_webhooks", "Wanted webhooks by status, as last seen at the source.", ["status"]),
    "webhook_problems": gauge("kb_webhook_problems", "Webhooks with a problem that upkeep cannot mend."),
    "webhook_unchecked": gauge("kb_webhook_unchecked_seconds", "Since the webhook that waits longest was looked at."),
    "missed": gauge("kb_missed_changes", "The gap: changes that a sync found and no delivery has brought."),
    "jobs": gauge("kb_jobs", "Jobs that wait or run.", ["kind", "status"]),
    "job_progress": gauge(
        "kb_job_progress_ratio", "Of the running job that is least far: calls made of planned.", ["kind"]
    ),
    "job_silent": gauge("kb_job_silent_seconds", "Since the quietest running job last made progress.", ["kind"]),
    "jobs_ended": gauge("kb_jobs_ended", "Jobs that ended within the last day.", ["kind", "status"]),
    "sync_age": gauge("kb_sync_age_seconds", "Since a job completed, of the integration where that is longest ago."),
    "budget": gauge("kb_api_budget_calls", "Calls a minute that the scarcest token in use allows."),
    "budget_left": gauge("kb_api_budget_left_calls", "Calls left in this minute, of the token that has fewest."),
    "budgets_blocked": gauge("kb_api_budgets_blocked", "Tokens in use that must wait after a 429."),
    "outbox": gauge("kb_outbox_messages", "Events of applied changes that wait to be published; 100000 at most."),
    "outbox_oldest": gauge("kb_outbox_oldest_seconds", "How long the oldest of them has waited."),
    "spool_dead": gauge("kb_spool_dead_messages", "Deliveries from the spool that the broker refused for good."),
}
AT: Final = gauge("kb_standing_timestamp_seconds", "When the numbers of the whole installation were last looked up.")
KINDS: Final = ("import", "sync", "sweep")
BOUNDS: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {
    "webhooks": [(status,) for status in ("active", "failing", "suspended", "missing", "unknown")],
    "jobs": [(kind, status) for kind in KINDS for status in ("queued", "running")],
    "jobs_ended": [(kind, status) for kind in KINDS for status in ("completed", "failed", "cancelled")],
}
"""What is said even where there is none: an alert on 0 needs a 0."""


async def look(database: Database) -> None:
    """Look once. Raises `schema.errors.DatabaseUnavailable`; then the last numbers stand."""
    show(await database.fetch("standing"))
    AT.set(time.time())
    if MINE not in REGISTRY._collector_to_names:  # noqa: SLF001  a second time it would complain
        REGISTRY.register(MINE)


def show(rows: Sequence[Row]) -> None:
    """Set all gauges."""
    found = {(row["name"], *row["labels"]): row["value"] for row in rows}
    for name, one in GAUGES.items():
        values = {key[1:]: value for key, value in found.items() if key[0] == name}
        if not one._labelnames:  # noqa: SLF001  the library has no other way to ask
            one.set(values.get((), UNKNOWN))
            continue
        one.clear()
        for labels in BOUNDS.get(name, ()):
            one.labels(*labels).set(0)
        for labels, value in values.items():
            one.labels(*labels).set(value)
