"""A job's book: what its pages bring, written page by page, each in one transaction with where to go on after it.

Promises: whoever lost the lease writes nothing more; what was applied is told with it; sums count each object once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from events.applied import job_event, tell
from integrations.errands import IMPORT, Checkpoint, Failure, Page
from schema import jobs
from schema.jobs import LeaseLost
from schema.knowledge import apply
from schema.postgres import Database, Row, Transaction
from schema.records import Cause, Look, Ref, Tombstone

APPLY_SECONDS: Final = 60.0
PROGRESS_SECONDS: Final = 5.0
IMPORT_STATUS: Final = {"completed": "completed", "failed": "failed", "cancelled": "idle"}


@dataclass(slots=True, kw_only=True)
class Book:
    """The book of one job, kept by whoever has its lease."""

    database: Database
    job: Row
    wake: asyncio.Event
    integration: Row = None
    workspace: str = ""
    followed: bool = False
    told_at: float = field(default=0.0)

    @property
    def _id(self) -> UUID:
        id_: UUID = self.job["integration_id"]
        return id_

    async def begin(self, integration: Row) -> None:
        """Say that somebody works on it."""
        self.integration = integration
        async with self.database.transaction() as transaction:
            if self.job["kind"] == IMPORT:
                await transaction.execute("sync_began", self._id, self.job["id"])
            action = "started" if self.job["starts"] == 1 else "resumed"
            await jobs.say(transaction, [(self.job, action)], job_event)
        self.wake.set()

    async def open(self, workspace: str) -> tuple[Checkpoint | None, int | None]:
        """Where an earlier run of this job stood, and before which time the knowledge base has everything."""
        self.workspace = workspace
        state = await self.database.fetchrow("sync_show", self._id)
        known = ((state and state["workspace_cursor"]) or {}).get(workspace) or {}
        resume, cursor = known.get("resume") or {}, known.get("cursor")
        self.followed = cursor is not None or self.job["options"].get("since") is not None
        mine = str(resume.get("job")) == str(self.job["id"])
        return resume.get("at") if mine else None, int(cursor) if cursor is not None else None

    async def turn(self, page: Page) -> None:
        """Write a page. What a complete listing does not show any more is gone. Raises `LeaseLost`."""
        present = [record.ref for record in page.records]
        graves: list[Tombstone] = []
        if page.complete:
            async with self.database.statement() as connection:
                gone = await jobs.unlisted(connection, self._id, page.complete, present, page.observed_at)
            graves = [Tombstone(ref=ref, because="gone", deleted_at=page.observed_at) for ref in gone]
        cause = Cause(event_id=self.job["id"])
        records = {record.ref: record for record in page.records}  # a listing may show a thing twice
        look = Look(
            records=[(record, cause) for record in records.values()], tombstones=[(grave, cause) for grave in graves]
        )
        await self._write(page, look, [*present, *page.seen])

    async def missing(self, types: Sequence[str], limit: int) -> list[Ref]:
        """What lives in the knowledge base and was not met, containers first."""
        rows = await self.database.fetch(
            "job_missing", self.job["id"], self._id, list(types), limit, within=APPLY_SECONDS
        )
        return [Ref(row["external_type"], row["external_id"]) for row in rows]

    async def confirm(self, last: Page, found: Look, asked: Collection[Ref], observed_at: datetime) -> None:
        """Write what came of asking for things by their ids. Raises `LeaseLost`."""
        cause = Cause(event_id=self.job["id"])
        look = Look(
            records=[(record, cause) for record, _ in found.records],
            tombstones=[(stone, cause) for stone, _ in found.tombstones],
        )
        page = replace(last, observed_at=observed_at, phase="confirming", failures=())
        await self._write(page, look, list(asked))

    async def wait(self, reason: str, seconds: float) -> None:
        """Say why it waits; the first time it counts as a failure, too, until it goes on. Raises `LeaseLost`."""
        async with self.database.transaction() as transaction:
            told = f"{reason}; tried again in {seconds:g} s"
            row = await transaction.fetchrow("job_wait", self.job["id"], self.job["lease"], told)
            if row is None:
                raise LeaseLost("somebody else has it, or it is over")
            if self.job["error"] is None:
                await transaction.execute("sync_failed", [self._id], [f"{row['kind']}: {reason}"])
        self.job = row

    async def end(self, status: str, error: str | None, last: Page | None = None) -> str:
        """Close the book; the status. Raises `LeaseLost`."""
        # a catch-up may begin later than the cursor, and then says nothing of what lies between
        whole = last is not None and last.reached is not None and self.job["options"].get("since") is None
        async with self.database.transaction() as transaction:
            row = await transaction.fetchrow("job_end", self.job["id"], self.job["lease"], status, error)
            if row is None:
                raise LeaseLost("somebody else has it, or it is over")
            await transaction.execute(
                "sync_ended",
                self._id,
                row["id"],
                self.workspace,
                last.reached if last else None,
                whole,
                row["kind"] == IMPORT,
                IMPORT_STATUS[status],
            )
            await transaction.execute("job_seen_forget", row["id"])
            if status == "failed":
                reason = f"{row['kind']}: {error}"
                await transaction.execute("sync_failed", [self._id], [reason])
            elif status == "completed":
                await transaction.execute("sync_succeeded", [self._id])
            await jobs.say(transaction, [(row, status)], job_event)
        self.wake.set()
        return status

    async def _write(self, page: Page, look: Look, seen: Sequence[Ref]) -> None:
        async with self.database.transaction(within=APPLY_SECONDS) as transaction:
            job = await self._in_one(transaction, page, look, seen)
        self.job = job
        self.wake.set()

    async def _in_one(self, transaction: Transaction, page: Page, look: Look, seen: Sequence[Ref]) -> Row:
        job_id = self.job["id"]
        changed = await apply(
            transaction,
            integration=self.integration,
            source=self.integration["name"],
            look=look,
            observed_at=page.observed_at,
        )
        met = await transaction.fetch("job_seen_add", job_id, [ref.object_id(self._id) for ref in seen])
        first = {row["object_id"] for row in met}
        unchanged = [record.ref for record, _ in look.records if record.ref.object_id(self._id) in first]
        failed = await transaction.fetch("job_fail_add", job_id, [_kept(failure) for failure in page.failures])
        sums = count(self.job["breakdown"], changed, unchanged, [row["type"] for row in failed if row["first"]])
        row = await transaction.fetchrow(
            "job_progress", job_id, self.job["lease"], page.phase, page.done, page.total, sums
        )
        if row is None:
            raise LeaseLost("somebody else has it, or it is over")
        if self.job["error"] is not None:  # it waited
            await transaction.execute("sync_succeeded", [self._id])
        await tell(transaction, changed, {})
        if self.job["kind"] != IMPORT and self.followed:
            await transaction.execute("missed_add", job_id, [dict(change) for change in changed])
        written = sum(one["action"] != "deleted" for one in changed) if self.job["kind"] == IMPORT else 0
        await transaction.execute("sync_paged", self._id, job_id, self.workspace, page.checkpoint, written)
        if time.monotonic() - self.told_at >= PROGRESS_SECONDS:
            self.told_at = time.monotonic()
            await jobs.say(transaction, [(row, "progressed")], job_event)
        return row


def count(
    before: dict[str, dict[str, int]], changed: Sequence[Row], met: Sequence[Ref], failed: Sequence[str]
) -> dict[str, dict[str, int]]:
    """The sums by type: what was written, deleted, and met for the first time unchanged; types of what failed. Pure."""
    sums = {type_: Counter(counts) for type_, counts in before.items()}
    news = {(row["external_type"], row["external_id"]) for row in changed}
    for row in changed:
        sums.setdefault(row["external_type"], Counter())["deleted" if row["action"] == "deleted" else "imported"] += 1
    for ref in met:
        if ref not in news:
            sums.setdefault(ref.type, Counter())["unchanged"] += 1
    for type_ in failed:
        sums.setdefault(type_, Counter())["failed"] += 1
    return {type_: dict(counts) for type_, counts in sums.items()}


def _kept(failure: Failure) -> dict[str, Any]:
    return {"type": failure.type, "external_id": failure.id, "reason": failure.reason, "raw": failure.raw}
