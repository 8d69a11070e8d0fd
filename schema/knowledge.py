"""Write what a look found: the one place where rows of the knowledge base change.

Promises, inside the caller's transaction: older never overwrites newer, equal changes nothing, a tombstone holds
against late news, and deleting a container deletes what is below it (see `queries/object_*.sql`). What it returns
is exactly what changed, in order; the same look applied twice changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final
from uuid import UUID

from schema.amendments import Standing
from schema.postgres import Database, Row, Transaction
from schema.records import TYPES, Cause, Look, Record, Ref, Tombstone

BEFORE_EVERYTHING: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When a second-hand account was observed: whatever anybody saw is later, so it overwrites nothing."""
_RANK = {external_type: rank for rank, external_type in enumerate(TYPES)}


async def apply(
    transaction: Transaction, *, integration: Row, source: str, look: Look, observed_at: datetime
) -> list[Row]:
    """Write a look; the changes it made, each a row with `action` and the rest of the object's outline.

    `integration` has `id`, `org_id` and `project_id`; `source` is the provider's name; `observed_at` is the database's
    time before the source was asked.
    """
    owner = {
        "org_id": integration["org_id"],
        "project_id": integration["project_id"],
        "integration_id": integration["id"],
        "external_source": source,
        "observed_at": observed_at,
    }
    await transaction.fetch("integration_lock", str(integration["id"]), bool(look.tombstones))
    changed: list[Row] = []
    # containers first, so that a thing sees whether what it lies in is alive
    records = sorted(look.records, key=lambda found: _RANK[found[0].ref.type])
    for _rank, level in groupby(records, key=lambda found: _RANK[found[0].ref.type]):
        rows = [owner | _row(integration["id"], record, cause, observed_at) for record, cause in level]
        written = await transaction.fetch("object_upsert", rows)
        if back := [row["id"] for row in written if row["news"] and row["action"] == "created" and row["version"] > 1]:
            written += await transaction.fetch("object_revive", back)
        changed += written
    if look.tombstones:
        rows = [_grave(integration["id"], stone, cause) | owner for stone, cause in look.tombstones]
        changed += await transaction.fetch("object_tombstone", rows)
    changed = [row for row in changed if row["news"]]
    graves = [stone.ref.object_id(integration["id"]) for stone, _ in look.tombstones]
    living = [row["id"] for row in changed if row["deleted_at"] is None]
    if graves or living:
        changed += await transaction.fetch("object_cascade", graves, living)
    await _relate(transaction, integration["id"], [record for record, _ in look.records], changed)
    return changed


async def unknown(database: Database, integration_id: UUID, refs: Collection[Ref]) -> set[Ref]:
    """Which of these have no row."""
    rows = await database.fetch("object_unknown", integration_id, [ref.type for ref in refs], [ref.id for ref in refs])
    return {Ref(row["external_type"], row["external_id"]) for row in rows}


async def standing(database: Database, integration_id: UUID, refs: Collection[Ref]) -> dict[Ref, Standing]:
    """How those of these stand that live."""
    rows = await database.fetch("object_standing", integration_id, [ref.type for ref in refs], [ref.id for ref in refs])
    return {
        Ref(row["external_type"], row["external_id"]): Standing(
            row["external_updated_at"], row["observed_at"], row["provisional"] or {}
        )
        for row in rows
    }


async def _relate(
    transaction: Transaction, integration_id: UUID, records: Sequence[Record], changed: Sequence[Row]
) -> None:
    """The edges of the objects that changed, and the people met in any: a renamed user changes no object."""
    ids = {row["id"] for row in changed}
    fresh = {id_: record for record in records if (id_ := record.ref.object_id(integration_id)) in ids}
    edges = [
        {
            "src_id": edge.src.object_id(integration_id),
            "dst_id": edge.dst.object_id(integration_id),
            "type": edge.type,
            "asserted_by": id_,
        }
        for id_, record in fresh.items()
        for edge in record.edges
    ]
    if fresh:
        await transaction.execute("relationship_replace", list(fresh), edges)
    people = [
        {
            "id": Ref("person", person.id).object_id(integration_id),
            "integration_id": integration_id,
            "external_id": person.id,
            "name": person.name,
            "email": person.email,
        }
        for record in records
        for person in record.people
    ]
    if people:
        await transaction.execute("people_upsert", people)


def _row(integration_id: UUID, record: Record, cause: Cause, observed_at: datetime) -> dict[str, object]:
    row = record.content() | {
        "id": record.ref.object_id(integration_id),
        "content_hash": record.content_hash(),
        "caused_by": cause.event_id,
        "received_at": cause.received_at,
    }
    if record.listed:
        row |= {"listed_at": observed_at}
    return row | {"observed_at": BEFORE_EVERYTHING} if record.insert_only else row


def _grave(integration_id: UUID, stone: Tombstone, cause: Cause) -> dict[str, object]:
    return {
        "id": stone.ref.object_id(integration_id),
        "type": TYPES[stone.ref.type],
        "external_type": stone.ref.type,
        "external_id": stone.ref.id,
        "because": stone.because,
        "deleted_at": stone.deleted_at,
        "caused_by": cause.event_id,
        "received_at": cause.received_at,
    }
