"""What deliveries state, written into rows before their source is read: the row is right sooner, and says so.

Promises: an amendment touches only a living row that was read before; it never overwrites what a look found that
began after the change, nor a later amendment of the same attribute; it counts as no change (no version, no event): the
look that confirms or corrects it does. In any order and any number of times, amendments leave the same row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from schema.postgres import Database, Row, Transaction
from schema.records import Amendment, Record

PROPERTY: Final = "properties."
COLUMNS: Final = (
    "title", "body", "status", "labels", "external_parent_type", "external_parent_id", "properties", "provisional"
)  # fmt: skip


class Standing(NamedTuple):
    """How far a living row is.

    Attributes:
        version: when the source changed it last, as far as it says.
        observed_at: when it was looked at last.
        provisional: of what was amended since, the time of the change.
    """

    version: datetime | None
    observed_at: datetime
    provisional: Mapping[str, str]

    def lacks(self, one: Amendment) -> bool:
        """Whether this amendment is news."""
        said = self.provisional.get(_name(one))
        return one.changed_at > (self.version or self.observed_at) and (
            said is None or one.changed_at > datetime.fromisoformat(said)
        )


async def amend(database: Database, integration_id: UUID, amendments: Sequence[Amendment]) -> list[UUID]:
    """Write what is news; the ids of the rows that changed."""
    by_id: dict[UUID, list[Amendment]] = {}
    for one in amendments:
        by_id.setdefault(one.ref.object_id(integration_id), []).append(one)
    if not by_id:
        return []
    async with database.transaction() as transaction:
        await transaction.fetch("integration_lock", str(integration_id), False)
        rows = await transaction.fetch("object_amendable", list(by_id))
        written = [amended for row in rows if (amended := apply(row, by_id[row["id"]])) is not None]
        if written:
            await transaction.execute("object_amend", written)
    return [row["id"] for row in written]


def apply(row: Mapping[str, Any], amendments: Sequence[Amendment]) -> dict[str, Any] | None:
    """The row as it is with these, or None when none of them is news."""
    after = {name: row[name] for name in COLUMNS} | {"id": row["id"], "amended_to": row["amended_to"]}
    after["properties"], after["provisional"] = dict(row["properties"]), dict(row["provisional"] or {})
    standing = Standing(row["external_updated_at"], row["observed_at"], after["provisional"])
    changed = False
    for one in sorted(amendments, key=lambda amendment: amendment.changed_at):
        if not standing.lacks(one):
            continue
        if one.path == "parent" and row["external_parent_type"] != one.value.type:
            continue
        _write(after, one)
        after["provisional"][_name(one)] = one.changed_at.isoformat()
        after["amended_to"] = max(after["amended_to"] or one.changed_at, one.changed_at)
        changed = True
    return after if changed else None


def _name(one: Amendment) -> str:
    """Its key in `provisional`."""
    return one.path if one.kind == "is" else f"{one.path}/{one.value}"


def _write(after: dict[str, Any], one: Amendment) -> None:
    if one.path == "parent":
        after["external_parent_type"], after["external_parent_id"] = one.value
        return
    place, name = (after["properties"], one.path.removeprefix(PROPERTY)) if _inside(one.path) else (after, one.path)
    value = one.value
    if one.kind != "is":
        value = [item for item in place.get(name) or () if item != one.value]
        value += [one.value] if one.kind == "has" else []
    if _inside(one.path) and value in (None, []):
        place.pop(name, None)
    else:
        place[name] = value


def _inside(path: str) -> bool:
    return path.startswith(PROPERTY)


async def compare(transaction: Transaction, integration_id: UUID, records: Sequence[Record]) -> tuple[int, int]:
    """How many amended attributes a look is about to confirm, and to correct."""
    seen = {record.ref.object_id(integration_id): record for record in records if not record.insert_only}
    rows = await transaction.fetch("object_provisional", list(seen)) if seen else []
    verdicts = [agrees(row, seen[row["id"]], name) for row in rows for name in row["provisional"]]
    return sum(verdicts), len(verdicts) - sum(verdicts)


def agrees(row: Row, record: Record, name: str) -> bool:
    """Whether a row's amended attribute is as a record has it. `name`: its key in `provisional`."""
    path, _, item = name.partition("/")
    content = record.content()
    if path == "parent":
        return (row["external_parent_type"], row["external_parent_id"]) == record.parent
    if _inside(path):
        here, there = (one["properties"].get(path.removeprefix(PROPERTY)) for one in (row, content))
    else:
        here, there = row[path], content[path]
    if item:
        return (item in (here or ())) == (item in (there or ()))
    return bool(here == there)
