"""The shadow of an integration: its objects built anew beside the knowledge base, and kept until somebody decides.

Promises: nothing here changes the knowledge base; what was read and where to go on are committed together; a record
comes out exactly as it was put in, its content hash included; whoever builds a shadow that was discarded meanwhile is
told so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from schema.postgres import Database, Row
from schema.records import TYPES, Edge, Person, Record, Ref

PAGE: Final = 500
SECONDS: Final = 60.0


class Discarded(Exception):
    """The shadow is not there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One object of a shadow: its record, or that there is none any more."""

    ref: Ref
    observed_at: datetime
    record: Record | None


async def begin(database: Database, integration_id: UUID) -> Row:
    """The build that is under way, or a new one; a finished shadow makes room. Raises `Discarded`."""
    async with database.transaction() as transaction:
        await transaction.execute("shadow_discard", integration_id, True)
        row = await transaction.fetchrow("shadow_begin", integration_id)
    if row is None:
        raise Discarded("there is no such integration")
    return row


async def find(database: Database, integration_id: UUID) -> Row | None:
    """The build of an integration's shadow, finished (`finished_at`) or not."""
    return await database.fetchrow("shadow_show", integration_id)


async def discard(database: Database, integration_id: UUID) -> bool:
    """Forget a shadow, finished or not; whether there was one."""
    return await database.execute("shadow_discard", integration_id, False, within=SECONDS) == 1


async def keep(
    database: Database,
    build: Row,
    *,
    records: Sequence[Record] = (),
    gone: Sequence[Ref] = (),
    observed_at: datetime | None = None,
    checkpoint: Mapping[str, Any] | None = None,
    covers: Sequence[str] | None = None,
    finished: bool = False,
) -> None:
    """Keep what a look found, and where the build stands after it. Raises `Discarded`."""
    rows: dict[Ref, dict[str, object]] = {ref: {"because": "gone"} for ref in gone}
    rows |= {record.ref: {"record": dump(record)} for record in records}  # a listing may show a thing twice
    named = [
        {"id": ref.object_id(build["integration_id"]), "external_type": ref.type, "external_id": ref.id} | row
        for ref, row in rows.items()
    ]
    async with database.transaction(within=SECONDS) as transaction:
        # first: its row is locked from here on, so nobody discards what is being kept
        if await transaction.fetchrow("shadow_reached", build["id"], checkpoint, covers, finished) is None:
            raise Discarded("the shadow was discarded meanwhile")
        if named:
            await transaction.execute("shadow_keep", build["integration_id"], named, observed_at)


async def pages(database: Database, integration_id: UUID) -> AsyncIterator[list[Kept]]:
    """All that a shadow holds, a page at a time: records, containers before what they hold; then what is gone."""
    for gone in (False, True):
        for type_ in TYPES:
            after = ""
            while rows := await database.fetch("shadow_page", integration_id, type_, after, gone, PAGE, within=SECONDS):
                after = rows[-1]["external_id"]
                yield [
                    Kept(
                        ref=Ref(row["external_type"], row["external_id"]),
                        observed_at=row["observed_at"],
                        record=load(row["record"]) if row["record"] is not None else None,
                    )
                    for row in rows
                ]


async def unmet(database: Database, integration_id: UUID, types: Sequence[str], after: Ref, limit: int) -> list[Ref]:
    """What lives in the knowledge base or was told of by a delivery, and is not in the shadow; a page after a ref."""
    rows = await database.fetch("shadow_unmet", integration_id, list(types), *after, limit, within=SECONDS)
    return [Ref(row["external_type"], row["external_id"]) for row in rows]


def dump(record: Record) -> str:
    """A record as JSON."""
    fields = {name: getattr(record, name) for name in Record.__slots__}
    fields |= {
        "ref": list(record.ref),
        "parent": list(record.parent) if record.parent else None,
        "edges": [[edge.type, list(edge.src), list(edge.dst)] for edge in record.edges],
    }
    return orjson.dumps(fields).decode()


def load(text: str) -> Record:
    """A record from its JSON."""
    fields: dict[str, Any] = orjson.loads(text)
    return Record(
        **fields
        | {
            "ref": Ref(*fields["ref"]),
            "parent": Ref(*fields["parent"]) if fields["parent"] else None,
            "labels": tuple(fields["labels"]),
            "updated_at": datetime.fromisoformat(fields["updated_at"]) if fields["updated_at"] else None,
            "edges": tuple(Edge(type_, Ref(*src), Ref(*dst)) for type_, src, dst in fields["edges"]),
            "people": tuple(Person(**person) for person in fields["people"]),
        }
    )
