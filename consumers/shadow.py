"""Rebuilding: an integration's objects anew from its source with today's mapping, first beside the knowledge base.

    build: walk over the source, then read by id what lives here or was ever told of and was not met -> kb_shadow
    differ: object by object against the knowledge base
    promote: write what differs, like anything else that was read

Promises: nothing changes before `promote`; an interrupted build or promotion goes on where it stood; what is written is
what `differ` shows, through the fence, so whatever the knowledge base has seen since stays; only what was proven to be
gone is taken away.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final
from uuid import UUID

import structlog

from consumers.differences import EXTRA, Difference, difference, same
from consumers.job_book import APPLY_SECONDS, count
from consumers.jobs import PAUSE_SECONDS
from events.applied import job_event, tell
from integrations.access import Access
from integrations.errands import IMPORT, Checkpoint, Errand, Options, Page
from integrations.registry import NotNow, Provider
from schema import jobs, shadow
from schema.errors import DatabaseUnavailable
from schema.knowledge import apply
from schema.postgres import Database, Row
from schema.records import TYPES, Cause, Look, Ref, Tombstone
from schema.shadow import Discarded, Kept

READ_AT_A_TIME: Final = 32
WITH_OTHERS: Final = frozenset({"comment", "key_result"})
"""What has no read of its own: it is met with its task or goal, or it is not."""

Progress = Callable[[str, int, int | None, int], None]
"""Hears of each step: phase, units done, of how many, objects so far."""

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Build:
    """One process at work on a shadow."""

    database: Database
    provider: Provider
    access: Access
    integration_id: UUID
    progress: Progress
    row: Row = None
    checkpoint: Checkpoint | None = None
    covers: Sequence[str] | None = None
    kept: int = field(default=0)

    async def run(self) -> None:
        """Build the shadow anew, or go on with the build that was interrupted.

        Raises:
            Impossible: the source refuses.
            NotNow, DatabaseUnavailable: it stayed away; the build goes on with the next run.
            Discarded: somebody discarded it meanwhile.
        """
        self.row = await shadow.begin(self.database, self.integration_id)
        self.checkpoint, self.covers = self.row["checkpoint"], self.row["covers"]
        self.kept = (await sums(self.database, self.integration_id)).total()
        self.access = replace(self.access, living=self._living)
        await self._walk()
        await self._read()
        await shadow.keep(self.database, self.row, finished=True)

    async def _living(
        self, type_: str, after: str, limit: int, _spaces: Sequence[str], _lists: Sequence[str]
    ) -> Sequence[str]:
        """What lives, here or there: the comments of a task that only the shadow has are read, too."""
        rows = await self.database.fetch("shadow_living", self.integration_id, type_, after, limit)
        return [row["external_id"] for row in rows]

    async def _walk(self) -> None:
        fruitless = 0
        while self.covers is None:
            try:
                errand = Errand(kind=IMPORT, options=Options.read(self.access.settings), checkpoint=self.checkpoint)
                async for page in self.provider.walk(errand, self.access):
                    await self._turn(page)
                    fruitless = 0
            except (NotNow, DatabaseUnavailable) as error:
                fruitless = await patience(fruitless, error)

    async def _turn(self, page: Page) -> None:
        """Keep a page. What a complete listing does not show any more is gone."""
        async with self.database.statement() as connection:
            present = [record.ref for record in page.records]
            gone = await jobs.unlisted(connection, self.integration_id, page.complete, present, page.observed_at)
        covers = sorted(page.covers) if page.last else None
        await shadow.keep(
            self.database,
            self.row,
            records=page.records,
            gone=gone,
            observed_at=page.observed_at,
            checkpoint=page.checkpoint,
            covers=covers,
        )
        self.checkpoint, self.covers = page.checkpoint, covers
        self.kept += len(page.records)
        self.progress(page.phase, page.done, page.total, self.kept)

    async def _read(self) -> None:
        """Read by id what the walk did not meet. What cannot be read now is in neither way known, and left alone."""
        types = [type_ for type_ in TYPES if type_ not in WITH_OTHERS or type_ in (self.covers or ())]
        after, done, fruitless = Ref("", ""), 0, 0
        while True:
            try:
                refs = await shadow.unmet(self.database, self.integration_id, types, after, READ_AT_A_TIME)
                if not refs:
                    return
                observed_at = await self.access.observed()
                found = await self.provider.confirm(refs, self.access)
                records, gone = [one for one, _ in found.records], [stone.ref for stone, _ in found.tombstones]
                await shadow.keep(self.database, self.row, records=records, gone=gone, observed_at=observed_at)
            except (NotNow, DatabaseUnavailable) as error:
                fruitless = await patience(fruitless, error)
                continue
            after, done, fruitless = refs[-1], done + len(refs), 0
            self.kept += len(records)
            self.progress("single reads", done, None, self.kept)


async def patience(fruitless: int, error: Exception) -> int:
    """Wait after one more try that brought nothing, and longer each time. Raises `error` in the end."""
    if fruitless == len(PAUSE_SECONDS):
        raise error
    log.warning("shadow.waiting", error=str(error))
    await asyncio.sleep(PAUSE_SECONDS[fruitless])
    return fruitless + 1


async def sums(database: Database, integration_id: UUID) -> Counter[str]:
    """How many objects a shadow has, by type."""
    rows = await database.fetch("shadow_sums", integration_id)
    return Counter({row["type"]: row["built"] for row in rows if row["built"]})


def newer(kept: Kept, row: Row) -> bool:
    """Whether the knowledge base knows more than this look: the fence of `kb.not_older` and `kb.lives`, foreseen."""
    seen, stored = kept.record and kept.record.updated_at, row["external_updated_at"]
    if row["deleted_at"] is None and seen is not None and seen != stored:
        return stored is not None and bool(stored > seen)
    return bool(row["observed_at"] > kept.observed_at)


def judge(kept: Kept, row: Row | None) -> Difference | None:
    """How a row differs from the shadow, unless it is newer. Pure."""
    if row is not None and newer(kept, row):
        return None
    if kept.record is not None:
        return None if same(kept.record, row) else difference(kept.record, row)
    alive = row is not None and row["deleted_at"] is None
    return Difference(ref=kept.ref, what=EXTRA, title=row["title"]) if row is not None and alive else None


async def differing(database: Database, integration_id: UUID) -> AsyncIterator[list[tuple[Kept, Difference]]]:
    """What differs, a page at a time, in the order in which it is to be written."""
    async for page in shadow.pages(database, integration_id):
        stored = await database.fetch("object_contents", [kept.ref.object_id(integration_id) for kept in page])
        rows = {Ref(row["external_type"], row["external_id"]): row for row in stored}
        yield [(kept, found) for kept in page if (found := judge(kept, rows.get(kept.ref)))]


@dataclass(slots=True, kw_only=True)
class Diff:
    """A shadow against the knowledge base.

    Attributes:
        compared: objects of the shadow by type.
        unread: what lives in the knowledge base and could neither be read nor proven to be gone.
    """

    compared: Counter[str]
    differences: list[Difference]
    unread: list[Ref]


async def diff(database: Database, integration_id: UUID) -> Diff:
    """Compare a finished shadow with the knowledge base as it is now."""
    unread = await database.fetch("shadow_unread", integration_id)
    return Diff(
        compared=await sums(database, integration_id),
        differences=[one async for page in differing(database, integration_id) for _, one in page],
        unread=[Ref(row["external_type"], row["external_id"]) for row in unread],
    )


async def promote(database: Database, integration: Row, build: Row, *, by: str, progress: Progress) -> Row:
    """Write what differs into the knowledge base, with its events; the job that is the cause of it.

    Doing it again writes nothing again. Raises `Discarded`.
    """
    done, written = 0, 0
    async for page in differing(database, integration["id"]):
        written += await _written(database, integration, build, [kept for kept, _ in page], by)
        done += 1
        progress("promoting", done, None, written)
    async with database.transaction() as transaction:
        job = await transaction.fetchrow("job_rebuilt", build["id"], by, None)
        if job is None:
            raise Discarded("the shadow was discarded meanwhile")
        await jobs.say(transaction, [(job, "completed")], job_event)
    return job


async def _written(database: Database, integration: Row, build: Row, page: Sequence[Kept], by: str) -> int:
    """The same as `_write`, again while the database is away or gives the transaction up to another writer."""
    fruitless = 0
    while True:
        try:
            return await _write(database, integration, build, page, by)
        except DatabaseUnavailable as error:
            fruitless = await patience(fruitless, error)


async def _write(database: Database, integration: Row, build: Row, page: Iterable[Kept], by: str) -> int:
    """A page of differences in one transaction; how many objects it changed."""
    if not (ordered := sorted(page, key=lambda kept: kept.observed_at)):
        return 0
    async with database.transaction(within=APPLY_SECONDS) as transaction:
        job = await transaction.fetchrow("job_rebuilt", build["id"], by, None)
        if job is None:
            raise Discarded("the shadow was discarded meanwhile")
        changed: list[Row] = []
        for observed_at, found in groupby(ordered, key=lambda kept: kept.observed_at):
            look = _look(list(found), Cause(event_id=build["id"]))
            changed += await apply(
                transaction, integration=integration, source=integration["name"], look=look, observed_at=observed_at
            )
        await transaction.fetchrow("job_rebuilt", build["id"], by, count(job["breakdown"], changed, [], []))
        await tell(transaction, changed, {})
    return len(changed)


def _look(found: Sequence[Kept], cause: Cause) -> Look:
    graves = [Tombstone(ref=kept.ref, because="gone", deleted_at=kept.observed_at) for kept in found if not kept.record]
    return Look(
        records=[(kept.record, cause) for kept in found if kept.record], tombstones=[(one, cause) for one in graves]
    )
