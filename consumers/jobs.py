"""Running jobs: take one, walk over its source page by page, find out what is gone, end it.

Promises: two processes never work on one job; what the source cannot answer now is asked again with a growing pause,
what it can never answer ends the job with the reason; a killed process costs one page, a stopped one nothing: it puts
the job back for somebody else at once. What a page changes is written in `job_book.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID, uuid4

import structlog

from consumers.job_book import Book
from consumers.outcome import where
from integrations.access import Access, Opener
from integrations.budget import Priority
from integrations.errands import IMPORT, SYNC, Errand, Options, Page
from integrations.registry import Impossible, NotNow, Provider, providers
from integrations.sealing import SealError
from schema.errors import DatabaseUnavailable
from schema.jobs import LEASE_SECONDS, LeaseLost
from schema.postgres import Database, Row
from schema.postgres_errors import is_conflict
from schema.records import TYPES, Look, Ref

PRIORITIES: Final[Mapping[str, Priority]] = {IMPORT: Priority.IMPORT, SYNC: Priority.SYNC}
"""A sweep is in no hurry either."""
CONFIRMED_AT_A_TIME: Final = 32
PAUSE_SECONDS: Final = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
FRUITLESS: Final = 30
"""So many tries in a row that brought nothing, half an hour or so, and the job has failed."""

Answer = TypeVar("Answer")

log = structlog.get_logger()


class Cancelled(Exception):
    """Somebody asked the job to end; the message says who or why."""


async def claim(database: Database, job_id: UUID | None = None) -> Row | None:
    """Take a job, any or this one; None when there is none to take."""
    try:
        return await database.fetchrow("job_claim", uuid4(), LEASE_SECONDS, job_id)
    except Exception as error:
        if is_conflict(error):  # somebody took another one of the same integration at the same moment
            return None
        raise


async def work_on(database: Database, opener: Opener, job: Row, *, wake: asyncio.Event) -> str | None:
    """Run a claimed job to its end; its status, or None where somebody else has it. A cancelled task puts it back."""
    bound = log.bind(job_id=str(job["id"]), kind=job["kind"], integration_id=str(job["integration_id"]))
    bound.info("job.started", starts=job["starts"])
    run = Run(database=database, opener=opener, book=Book(database=database, job=job, wake=wake))
    try:
        status = await run.run()
    except (LeaseLost, DatabaseUnavailable) as error:
        bound.warning("job.lost", error=str(error))
        return None
    except asyncio.CancelledError:
        with suppress(DatabaseUnavailable):
            await asyncio.shield(database.execute("job_release", job["id"], job["lease"], within=2))
        raise
    except Exception as error:
        with suppress(DatabaseUnavailable):
            if await database.fetchrow("job_renew", job["id"], job["lease"], LEASE_SECONDS) is None:
                bound.warning("job.lost", error=where(error))  # its integration was deleted under it
                return None
        # the lease runs out and somebody tries again from the checkpoint; one that breaks for ever ends here
        bound.error("job.broke", error=where(error))
        if job["starts"] < FRUITLESS:
            raise
        status = await run.book.end("failed", where(error))
    bound.info("job.ended", status=status, calls=run.book.job["calls"])
    return status


@dataclass(slots=True, kw_only=True)
class Run:
    """One process at work on one job."""

    database: Database
    opener: Opener
    book: Book
    cancelled: str | None = None
    fruitless: int = field(default=0)

    async def run(self) -> str:
        """Work until the job has ended; its status. Raises `LeaseLost`."""
        job, book = self.book.job, self.book
        rows = await self.database.fetch("integration_settings", [job["integration_id"]])
        if not rows:
            raise LeaseLost("its integration was deleted")
        provider = providers()[rows[0]["name"]]
        self._notice(cancelled=job["cancel_requested"], enabled=rows[0]["enabled"])
        async with self._leased():
            await book.begin(rows[0])
            try:
                self._look_up()
                access = self.opener.open(rows[0], PRIORITIES.get(job["kind"], Priority.IMPORT))
                last = await self._walk(provider, access)
                await self._confirm(provider, access, last)
            except Cancelled as error:
                return await book.end("cancelled", str(error))
            except (Impossible, NotNow, SealError) as error:
                return await book.end("failed", str(error))
            return await book.end("completed", None, last)

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[None]:
        """Keep the lease while inside. One that is lost cancels the work, as `LeaseLost`."""
        work = asyncio.current_task()
        assert work is not None  # noqa: S101  we are in one
        lost, job = False, self.book.job

        async def keep() -> None:
            nonlocal lost
            while True:
                await asyncio.sleep(LEASE_SECONDS / 4)
                with suppress(DatabaseUnavailable):  # every write looks at the lease again
                    row = await self.database.fetchrow("job_renew", job["id"], job["lease"], LEASE_SECONDS)
                    if row is None:
                        lost = True
                        work.cancel()
                        return
                    self._notice(cancelled=row["cancel_requested"], enabled=row["enabled"])

        keeper = asyncio.create_task(keep(), name="lease")
        try:
            yield
        except asyncio.CancelledError:
            if not lost:
                raise
            work.uncancel()
            raise LeaseLost("somebody else has it, or it is over") from None
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _walk(self, provider: Provider, access: Access) -> Page:
        """All pages; the last one. Raises `Impossible`, or `NotNow` after many fruitless tries."""
        last: Page | None = None
        checkpoint, cursor = await self.book.open(str(access.settings.get("workspace_id") or ""))
        options = Options.read({**access.settings, **self.book.job["options"]})

        async def walk() -> None:
            nonlocal last, checkpoint
            errand = Errand(kind=self.book.job["kind"], options=options, checkpoint=checkpoint, cursor=cursor)
            async for page in provider.walk(errand, access):
                self._look_up()
                await self._persist(lambda page=page: self.book.turn(page))  # type: ignore[misc]
                last, checkpoint, self.fruitless = page, page.checkpoint, 0

        while last is None or not last.last:
            await self._persist(walk)
        return last

    async def _confirm(self, provider: Provider, access: Access, last: Page) -> None:
        """What was not listed is asked for by its id: only what cannot be read, with a token that is good, is gone."""
        types = [type_ for type_ in TYPES if type_ in last.covers]
        while missing := await self.book.missing(types, CONFIRMED_AT_A_TIME):
            self._look_up()
            same = [ref for ref in missing if ref.type == missing[0].type]  # containers take what they hold with them

            async def confirm(refs: list[Ref] = same) -> None:
                observed_at = await access.observed()
                found: Look = await provider.confirm(refs, access)
                await self.book.confirm(last, found, refs, observed_at)

            await self._persist(confirm)
            self.fruitless = 0

    async def _persist(self, deed: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do it, again and again while the source or the database is away; not for ever."""
        while True:
            try:
                return await deed()
            except (NotNow, DatabaseUnavailable) as error:
                self.fruitless += 1
                if self.fruitless >= FRUITLESS:
                    raise NotNow(f"gave up after {self.fruitless} tries: {error}") from error
                log.warning("job.waiting", job_id=str(self.book.job["id"]), error=str(error))
                seconds = PAUSE_SECONDS[min(self.fruitless, len(PAUSE_SECONDS)) - 1]
                with suppress(DatabaseUnavailable):
                    await self.book.wait(str(error), seconds)
                await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._look_up()
            await asyncio.sleep(min(left, 0.5))

    def _notice(self, *, cancelled: bool, enabled: bool) -> None:
        if cancelled or not enabled:
            self.cancelled = "cancelled" if enabled else "the integration is disabled"

    def _look_up(self) -> None:
        if self.cancelled is not None:
            raise Cancelled(self.cancelled)
