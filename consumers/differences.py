"""What differs between a record and a stored row, field by field. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from schema.postgres import Row
from schema.records import Record, Ref

MISSING: Final = "missing"
EXTRA: Final = "extra"
DIFFERENT: Final = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One object that is not the same on both sides.

    Attributes:
        what: `missing` in the knowledge base, `extra` there, or `different`.
        fields: which, for a different one.
    """

    ref: Ref
    what: str
    fields: tuple[str, ...] = ()
    title: str | None = None


def same(record: Record, row: Row | None) -> bool:
    """Whether a stored row lives and says what the record says."""
    return row is not None and row["deleted_at"] is None and row["content_hash"] == record.content_hash()


def difference(record: Record, row: Row | None) -> Difference:
    """How a row that is not the `same` differs from a record. The row is one of `object_contents`."""
    if row is None or row["deleted_at"] is not None:
        return Difference(ref=record.ref, what=MISSING, title=record.title)
    return Difference(ref=record.ref, what=DIFFERENT, fields=tuple(_fields(record, row)), title=record.title)


def _fields(record: Record, row: Row) -> Sequence[str]:
    """The names of what differs; `edges` where only those do."""
    differing: list[str] = []
    for name, value in record.content().items():
        known: Any = row[name]
        if name == "properties":
            names = sorted(value.keys() | known.keys())
            differing += [f"properties.{one}" for one in names if value.get(one) != known.get(one)]
        elif name == "labels":
            differing += ["labels"] if list(value) != list(known) else []
        elif value != known:
            differing.append(name)
    return differing or ["edges"]
