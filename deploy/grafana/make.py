"""Writes the dashboards beside it: `python -m deploy.grafana.make`. Change them here, not in the JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "dashboards"

Panel = tuple[str, str, Sequence[tuple[str, str]]]
"""Title, unit, and queries with their legends."""


def rate(metric: str, by: str) -> tuple[str, str]:
    """How many a second, by a label."""
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))", f"{{{{{by}}}}}"


def quantile(share: float, metric: str, by: str = "") -> tuple[str, str]:
    """A quantile of a histogram, by a label if one is given."""
    labels = f"{by}, le" if by else "le"
    legend = f"p{share * 100:g}" + (f" {{{{{by}}}}}" if by else "")
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))", legend


def largest(metric: str, by: str = "") -> tuple[str, str]:
    """Of a number that several processes say alike."""
    return (f"max by ({by}) ({metric})", f"{{{{{by}}}}}") if by else (f"max({metric})", metric)


FLOW: Final[Sequence[Panel]] = [
    ("Deliveries answered", "reqps", [rate("kb_ingest_requests_total", "outcome")]),
    ("Time to answer", "s", [quantile(0.5, "kb_ingest_request_seconds"), quantile(0.99, "kb_ingest_request_seconds")]),
    ("Stored by", "reqps", [rate("kb_ingest_stored_total", "by")]),
    (
        "Spool",
        "short",
        [largest("kb_spool_messages"), largest("kb_spool_limit_messages"), largest("kb_spool_dead_messages")],
    ),
    (
        "Oldest in the spool and the outbox",
        "s",
        [largest("kb_spool_oldest_seconds"), largest("kb_outbox_oldest_seconds")],
    ),
    ("Publishing, p99", "s", [quantile(0.99, "kb_publish_seconds", "to")]),
    (
        "Settled",
        "reqps",
        [
            (
                "sum by (consumer, outcome) (rate(kb_consumer_deliveries_total[$__rate_interval]))",
                "{{consumer}} {{outcome}}",
            )
        ],
    ),
    ("Lag of consumers, p95", "s", [quantile(0.95, "kb_consumer_lag_seconds", "consumer")]),
    ("Queues", "short", [('sum by (queue) (rabbitmq_detailed_queue_messages{queue=~"kb[.].*"})', "{{queue}}")]),
    (
        "Receipt to row",
        "s",
        [quantile(0.5, "kb_received_to_row_seconds", "how"), quantile(0.95, "kb_received_to_row_seconds", "how")],
    ),
    (
        "Change to row",
        "s",
        [quantile(0.5, "kb_change_to_row_seconds", "how"), quantile(0.95, "kb_change_to_row_seconds", "how")],
    ),
    (
        "Outbox",
        "short",
        [largest("kb_outbox_messages"), ("sum(rate(kb_outbox_relayed_total[$__rate_interval]))", "relayed/s")],
    ),
    ("Connections closed by us", "reqps", [rate("kb_http_refused_total", "reason")]),
]
SOURCE: Final[Sequence[Panel]] = [
    ("API calls", "reqps", [rate("kb_api_calls_total", "priority")]),
    ("Answers", "reqps", [rate("kb_api_calls_total", "status")]),
    (
        "Budget of the scarcest token",
        "short",
        [largest("kb_api_budget_calls"), ("min(kb_api_budget_left_calls)", "left"), largest("kb_api_budgets_blocked")],
    ),
    ("Wait for a turn, p95", "s", [quantile(0.95, "kb_api_turn_wait_seconds", "priority")]),
    (
        "Reads, and reads saved",
        "reqps",
        [
            ("sum(rate(kb_source_reads_total[$__rate_interval]))", "reads"),
            ("sum(rate(kb_source_reads_saved_total[$__rate_interval]))", "saved"),
        ],
    ),
    ("Stated, then read", "reqps", [rate("kb_amended_attributes_total", "verdict")]),
    ("Webhooks", "short", [largest("kb_webhooks", "status"), largest("kb_webhook_problems")]),
    ("The gap", "short", [largest("kb_missed_changes")]),
    ("Integrations", "short", [largest("kb_integrations"), largest("kb_integrations_failing")]),
    ("Jobs", "short", [("max by (kind, status) (kb_jobs)", "{{kind}} {{status}}")]),
    ("Progress of jobs", "percentunit", [largest("kb_job_progress_ratio", "kind")]),
    ("Ended within a day", "short", [("max by (kind, status) (kb_jobs_ended)", "{{kind}} {{status}}")]),
    (
        "Since a read completed, and since a hook was looked at",
        "s",
        [largest("kb_sync_age_seconds"), largest("kb_webhook_unchecked_seconds")],
    ),
    ("Gallery", "reqps", [rate("kb_gallery_requests_total", "status")]),
]
DASHBOARDS: Final = {
    "flow": ("kb-ingest: from delivery to row", FLOW),
    "source": ("kb-ingest: ClickUp and jobs", SOURCE),
}


def dashboard(name: str, title: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """One dashboard, three panels a row."""
    return {
        "uid": f"kb-ingest-{name}",
        "title": title,
        "tags": ["kb-ingest"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    title, unit, queries = panel
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": {"x": 8 * (number % 3), "y": 8 * (number // 3), "w": 8, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(queries)
        ],
    }


def files() -> Iterator[tuple[Path, str]]:
    """Each file and its text."""
    for name, (title, panels) in DASHBOARDS.items():
        yield FOLDER / f"{name}.json", json.dumps(dashboard(name, title, panels), indent=1) + "\n"


if __name__ == "__main__":
    for path, text in files():
        path.write_text(text)
