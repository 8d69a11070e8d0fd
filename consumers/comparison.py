"""Comparing a source with the knowledge base, object by object: the proof that they are equal, or what differs.

Promises: nothing is written; what only looks different because it changes while we look is looked at again; every
difference says which fields.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from consumers.differences import EXTRA, Difference, difference, same
from integrations.access import Access
from integrations.errands import IMPORT, Errand, Failure, Options, Page
from integrations.registry import NotNow, Provider
from schema.postgres import Database, Row
from schema.records import TYPES, Record, Ref

PAGE: Final = 500
PATIENCE_SECONDS: Final = 3.0
"""What is on its way to the knowledge base may need so long."""


@dataclass(slots=True)
class Result:
    """What a comparison found.

    Attributes:
        compared: objects of the source by type.
        failures: objects of the source that nobody can read, so that they are in no comparison.
        covered: the types that were read to the end.
    """

    compared: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    covered: frozenset[str] = frozenset()
    calls: int = 0


@dataclass(slots=True, kw_only=True)
class Comparison:
    """One comparison of one integration."""

    database: Database
    provider: Provider
    access: Access
    integration_id: UUID
    options: Options
    progress: Callable[[Page, Result], None]
    result: Result = field(default_factory=Result)
    seen: set[UUID] = field(default_factory=set)
    counted: set[UUID] = field(default_factory=set)
    doubtful: dict[Ref, tuple[Record, datetime]] = field(default_factory=dict)

    async def run(self) -> Result:
        """Compare. Raises `integrations.registry.Impossible` or `NotNow`."""
        began = await self.access.observed()
        errand = Errand(kind=IMPORT, options=self.options)
        async for page in self.provider.walk(errand, self.access):
            await self._compare(page)
            self.progress(page, self.result)
            if page.last:
                self.result.covered, self.result.calls = page.covers, page.done
        if self.doubtful:
            await asyncio.sleep(PATIENCE_SECONDS)
            await self._look_again()
        await self._extras(began)
        self.result.differences.sort(key=lambda one: (list(TYPES).index(one.ref.type), one.ref.id))
        return self.result

    async def _compare(self, page: Page) -> None:
        self.result.failures += page.failures
        ids = {record.ref.object_id(self.integration_id): record for record in page.records}
        self.seen |= ids.keys()
        self.seen |= {ref.object_id(self.integration_id) for ref in page.seen}
        stored = await self._stored(ids)
        for id_, record in ids.items():
            if id_ not in self.counted:  # what is edited meanwhile is read again
                self.counted.add(id_)
                self.result.compared[record.ref.type] = self.result.compared.get(record.ref.type, 0) + 1
            if not same(record, stored.get(id_)):
                self.doubtful[record.ref] = (record, page.observed_at)

    async def _stored(self, ids: Iterable[UUID]) -> Mapping[UUID, Row]:
        rows = await self.database.fetch("object_contents", list(ids))
        return {row["id"]: row for row in rows}

    async def _look_again(self) -> None:
        """Once more, at both sides: what was changed or deleted meanwhile is no difference."""
        fresh: dict[Ref, Record | None] = {}
        refs = [ref for ref in self.doubtful if ref.type not in ("comment", "workspace", "key_result")]
        for at in range(0, len(refs), 50):
            try:
                found = await self.provider.confirm(refs[at : at + 50], self.access)
            except NotNow:
                continue
            fresh |= {stone.ref: None for stone, _ in found.tombstones}
            fresh |= {record.ref: record for record, _ in found.records}
        stored = await self._stored(ref.object_id(self.integration_id) for ref in self.doubtful)
        for ref, (record, observed_at) in self.doubtful.items():
            row = stored.get(ref.object_id(self.integration_id))
            now = fresh.get(ref, record)
            newer = row is not None and row["observed_at"] > observed_at and ref not in fresh
            if now is not None and not newer and not same(now, row):
                self.result.differences.append(difference(now, row))

    async def _extras(self, began: datetime) -> None:
        """What lives in the knowledge base and was not met, for the types that were read to the end."""
        types = self.result.covered | ({"comment"} if self.result.covered and self.options.comments else set())
        for type_ in [type_ for type_ in TYPES if type_ in types]:
            after = ""
            while ids := await self.access.living(type_, after, PAGE, (), ()):
                after = ids[-1]
                unmet = [ref for id_ in ids if (ref := Ref(type_, id_)).object_id(self.integration_id) not in self.seen]
                stored = await self._stored(ref.object_id(self.integration_id) for ref in unmet)
                self.result.differences += [
                    Difference(ref=ref, what=EXTRA, title=row["title"])
                    for ref in unmet
                    if (row := stored.get(ref.object_id(self.integration_id))) and row["created_at"] < began
                ]
