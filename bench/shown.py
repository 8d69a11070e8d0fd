"""When a row first showed what was stated: a trigger notes names and estimates of tasks as they change."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

WATCH: Final = """
    CREATE TABLE kb.bench_shown (task TEXT, field TEXT, value TEXT, at TIMESTAMPTZ DEFAULT clock_timestamp());
    CREATE FUNCTION kb.bench_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF NEW.title IS DISTINCT FROM OLD.title THEN
            INSERT INTO kb.bench_shown VALUES (NEW.external_id, 'name', NEW.title);
        END IF;
        IF NEW.properties -> 'time_estimate' IS DISTINCT FROM OLD.properties -> 'time_estimate' THEN
            INSERT INTO kb.bench_shown VALUES (NEW.external_id, 'time_estimate', NEW.properties ->> 'time_estimate');
        END IF;
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER bench_note AFTER UPDATE ON kb.objects FOR EACH ROW EXECUTE FUNCTION kb.bench_note()"""
READ: Final = "SELECT * FROM kb.bench_shown WHERE at >= $1 ORDER BY at"

Stated = tuple[str, str, int, datetime]
"""Task, field (`name` or `time_estimate`), the number that is its value and only grows, and when it was told."""


def shown(stated: Sequence[Stated], rows: Sequence[Any]) -> list[datetime | None]:
    """When the row showed each value or a later one of the same field; None if it never did."""
    found: dict[tuple[str, str], tuple[list[int], list[datetime]]] = {}
    for row in rows:
        values, times = found.setdefault((row["task"], row["field"]), ([], []))
        if row["value"] is not None and (not values or int(row["value"]) > values[-1]):
            values.append(int(row["value"]))
            times.append(row["at"])
    moments: list[datetime | None] = []
    for task_id, field, number, _told in stated:
        values, times = found.get((task_id, field), ([], []))
        at = bisect_left(values, number)
        moments.append(times[at] if at < len(values) else None)
    return moments
