"""Sealing everything anew with the first key, while programs work; and counting what is sealed with what.

Promises: a value that changes while it is sealed anew is never overwritten, but tried again; what does not open stays
as it is and is named with the reason; interrupted at any moment and run again, it goes on with what is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from integrations import openpgp
from integrations.sealed_rows import secret_row, settings_row
from integrations.sealing import PGCRYPTO, UNKNOWN, Keyring, SealError, key_id, sealed_by
from schema.postgres import Database, Row

PAGE: Final = 100
PASSES: Final = 10
"""A value that a program keeps sealing with another key is left after so many."""
PLAIN: Final = "plain"
"""Stands for a key's id where a secret is not sealed at all: `kb.integrations.webhook_secret` of an earlier system."""
NO_KEY: Final = {
    PLAIN: "not sealed, of an earlier system",
    PGCRYPTO: "sealed by an earlier system",
    UNKNOWN: "not sealed in a known form",
}
"""What stands in counts where a value names no key."""
UNKNOWN_HOOK: Final = "legacy"
"""The hook that such a secret belongs to: the earlier system did not say which."""


@dataclass(frozen=True, slots=True)
class Column:
    """Sealed values: what each is sealed for, the query of a page of them, the one that puts others in their place."""

    row: Callable[[UUID], str]
    page: str
    put: str


SEALED: Final = (
    Column(settings_row, "sealed_settings", "sealed_settings_put"),
    Column(secret_row, "sealed_secrets", "sealed_secrets_put"),
)
"""Everything that is sealed. Another column is another line here, and its two queries."""


class Renewal(NamedTuple):
    """A value to be put in place of the one that was read."""

    id: UUID
    read: bytes
    anew: bytes


@dataclass(slots=True, kw_only=True)
class Report:
    """What a rotation met and did.

    Attributes:
        key: the id of the key that seals.
        before, after: how many values are sealed with which key.
        renewed: how many were put in place of others.
        unopened: names of the values that stayed as they were, with the reason.
    """

    key: str
    before: Mapping[str, int]
    after: Mapping[str, int] = field(default_factory=dict)
    renewed: int = 0
    unopened: Mapping[str, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the first key seals everything, so that no other one is needed."""
        return self.after.keys() <= {self.key}


def renewals(keyring: Keyring, column: Column, rows: Iterable[Row]) -> tuple[list[Renewal], dict[str, str]]:
    """What of a page is to be sealed anew, and why some of it cannot be."""
    first = key_id(keyring.keys[0]).hex()
    anew, unopened = list[Renewal](), dict[str, str]()
    for row in rows:
        if sealed_by(row["sealed"]) == first:
            continue
        name = column.row(row["id"])
        try:
            plain = keyring.open(row["sealed"], row=name)
        except SealError as error:
            unopened[name] = str(error)
        else:
            anew.append(Renewal(row["id"], row["sealed"], keyring.seal(plain, row=name)))
    return anew, unopened


async def tally(database: Database) -> dict[str, int]:
    """How many values each key seals, by its id; `pgcrypto`, `unknown` and `plain` stand for what names none."""
    counts: Counter[str] = Counter()
    for column in SEALED:
        async for rows in _pages(database, column.page):
            counts.update(sealed_by(row["sealed"]) for row in rows)
    async for rows in _pages(database, "plain_secrets"):
        counts[PLAIN] += len(rows)
    return dict(counts)


async def rotate(database: Database, keyring: Keyring, met: Callable[[int, int], None]) -> Report:
    """Seal everything with the first key: pass after pass, until one finds nothing to do.

    Args:
        database: with the rights to change integrations and secrets.
        keyring: opens what there is; the first key seals.
        met: is told how many values this pass has met, of about how many.
    """
    before = await tally(database)
    report = Report(key=key_id(keyring.keys[0]).hex(), before=before)
    for _ in range(PASSES):
        wanted, seen, report.unopened = 0, 0, dict[str, str]()
        for column in SEALED:
            async for rows in _pages(database, column.page):
                anew, unopened = renewals(keyring, column, rows)
                report.unopened |= unopened
                if anew:
                    wanted += len(anew)
                    report.renewed += await database.execute(column.put, *map(list, zip(*anew, strict=True)))
                seen += len(rows)
                met(seen, sum(before.values()))
        async for rows in _pages(database, "plain_secrets"):
            for row in rows:
                wanted += 1
                report.renewed += await _move(database, keyring, row, report.unopened)
        if wanted == 0:
            break
    report.after = await tally(database)
    return report


async def _move(database: Database, keyring: Keyring, row: Row, unopened: dict[str, str]) -> int:
    """Move a secret of an earlier system, plain or sealed by pgcrypto, to where the others are; whether it moved."""
    sealed, id_ = openpgp.written(row["secret"]), UUID(bytes=keyring.random(16), version=4)
    name = f"integrations/{row['id']}/webhook_secret"
    try:
        plain = row["secret"].encode() if sealed is None else keyring.open(sealed, row=name)
    except SealError as error:
        unopened[name] = str(error)
        return 0
    anew = keyring.seal(plain, row=secret_row(id_))
    return await database.execute("plain_secret_move", row["id"], row["secret"], id_, UNKNOWN_HOOK, anew)


async def _pages(database: Database, query: str) -> AsyncIterator[list[Row]]:
    """All rows, a page at a time in the order of their ids."""
    after: UUID | None = None
    while rows := await database.fetch(query, after, PAGE):
        yield rows
        after = rows[-1]["id"]
