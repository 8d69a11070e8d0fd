"""Where a row of the knowledge base came from: the chain from the source's change to the row, read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from schema.postgres import Database, Row
from schema.records import TYPES

HEARD: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """One object and what wrote it.

    Attributes:
        object: its outline: what it is, its version, `external_updated_at` (changed at the source), `received_at`,
            `stated_at` (in the row as the delivery stated it, if that was before), `synced_at` (applied),
            `caused_by`.
        event: the delivery that wrote it: received, published, journaled, applied, its `traceparent`; None when a job
            did, or the journal has it no longer.
        job: the import, sync, sweep or rebuild that wrote it.
        heard: the latest deliveries about it, newest first, each with its outcome.
    """

    object: Row
    event: Row | None
    job: Row | None
    heard: Sequence[Row]


async def why(database: Database, wanted: str, integration_id: UUID | None = None) -> list[Provenance]:
    """The chains of all objects that `wanted` names: a row's id, `<type>/<id>` or the source's id. At most 20."""
    type_, _, external_id = wanted.partition("/")
    types, external_id = ([type_], external_id) if type_ in TYPES and external_id else (list(TYPES), wanted)
    try:
        row_id = UUID(wanted)
    except ValueError:
        row_id = None
    return [
        Provenance(
            object=row,
            event=await database.fetchrow("why_event", row["caused_by"]),
            job=await database.fetchrow("job_show", row["caused_by"]),
            heard=await database.fetch(
                "why_heard", row["integration_id"], f"{row['external_type']}/{row['external_id']}", HEARD
            ),
        )
        for row in await database.fetch("why_object", types, external_id, row_id, integration_id)
    ]
