"""ClickUp's goals and their key results as records. Pure; see `mapping.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.clickup.mapping import APP, present, ref_of
from integrations.clickup.values import identity, iso, items, number, text
from schema.records import Edge, Record, Ref


def goal(raw: Mapping[str, Any], *, workspace_id: str) -> list[Record]:
    """A goal of GET /goal/{id}, with its key results."""
    ref, parent = ref_of("goal", raw), Ref("workspace", identity(raw.get("team_id")) or workspace_id)
    return [
        Record(
            ref=ref,
            parent=parent,
            title=text(raw.get("name")),
            body=text(raw.get("description")),
            url=text(raw.get("pretty_url")) or f"{APP}/{workspace_id}/goals/{ref.id}",
            properties=present(
                percent_completed=number(raw.get("percent_completed")),
                due_date=iso(raw.get("due_date")),
                date_created=iso(raw.get("date_created")),
                archived=raw.get("archived"),
            ),
            edges=(Edge("parent_of", parent, ref),),
        ),
        *(_key_result(result, ref) for result in items(raw.get("key_results")) if identity(result.get("id"))),
    ]


def _key_result(raw: Mapping[str, Any], parent: Ref) -> Record:
    ref = ref_of("key_result", raw)
    return Record(
        ref=ref,
        parent=parent,
        title=text(raw.get("name")),
        status="completed" if raw.get("completed") else "open",
        properties=present(
            kind=text(raw.get("type")),
            unit=text(raw.get("unit")),
            percent_completed=number(raw.get("percent_completed")),
            date_created=iso(raw.get("date_created")),
        ),
        edges=(Edge("parent_of", parent, ref),),
    )
