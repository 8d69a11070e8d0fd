"""From applied changes to one row of state an integration. Pure: the same changes give the same sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

COUNTED: Final[Mapping[str, str]] = {"task": "tasks", "list": "lists", "space": "spaces"}
TIMED: Final = ("workspace", "space", "folder", "list", "task")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One applied change, as its `knowledge.*` event tells it."""

    integration_id: UUID
    external_type: str
    external_updated_at: datetime | None
    applied_at: datetime


def fold(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Sums and latest times by integration: what `queries/sync_fold.sql` adds to the state."""
    sums: dict[UUID, dict[str, Any]] = {}
    for change in changes:
        row = sums.setdefault(
            change.integration_id,
            {"integration_id": change.integration_id, "cursor": None, **dict.fromkeys(COUNTED.values(), 0)},
        )
        if change.external_type in COUNTED:
            row[COUNTED[change.external_type]] += 1
        if change.external_type in TIMED:
            name = f"{change.external_type}_at"
            row[name] = max(row.get(name) or change.applied_at, change.applied_at)
        if change.external_updated_at is not None:
            row["cursor"] = max(row["cursor"] or 0, _milliseconds(change.external_updated_at))
    return [sums[integration_id] for integration_id in sorted(sums)]


def _milliseconds(when: datetime) -> int:
    return round((when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
