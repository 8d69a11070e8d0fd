"""`kb-ingest import`, `sync` and `jobs`: work over a whole source, seen while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Annotated, Any, Final
from uuid import UUID

import typer
import uvloop

from cli import audit, output, programs
from cli.comparing import verify
from cli.progress import Progress
from cli.settings import Settings, load
from cli.setup import admin
from consumers.jobs import claim, work_on
from events.applied import job_event
from integrations.clickup.client import transport
from integrations.errands import IMPORT, SWEEP, SYNC
from schema import integrations, jobs
from schema.jobs import NewJob
from schema.postgres import Database, Row

POLL_SECONDS: Final = 0.5
HELP_SECONDS: Final = 1.0
"""When no `imports` consumer has taken the job by then, it is done right here."""
SHOWN_FAILURES: Final = 20
OVER: Final = ("completed", "failed", "cancelled")

Id = Annotated[UUID, typer.Argument(metavar="ID", help="The integration's id.")]
JobId = Annotated[UUID, typer.Argument(metavar="JOB", help="The job's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Detach = Annotated[bool, typer.Option("--detach", help="Ask for it and return; an `imports` consumer does it.")]
Spaces = Annotated[list[str] | None, typer.Option("--space", help="Only this space; may be repeated.")]
Lists = Annotated[list[str] | None, typer.Option("--list", help="Only this list; may be repeated.")]

app = typer.Typer(help="Imports, syncs and sweeps, past and present.", epilog="Example: kb-ingest jobs list")
COLUMNS = {
    "id": "Job",
    "integration_id": "Integration",
    "kind": "Kind",
    "status": "Status",
    "reason": "Why",
    "phase": "Phase",
    "done": "Calls",
    "failures": "Failures",
    "created_at": "Asked",
    "finished_at": "Ended",
}


def import_(
    id_: Id,
    *,
    space: Spaces = None,
    list_: Lists = None,
    archived: Annotated[bool | None, typer.Option(help="Also what is archived.")] = None,
    closed: Annotated[bool | None, typer.Option(help="Also closed tasks.")] = None,
    comments: Annotated[bool | None, typer.Option(help="Also comments.")] = None,
    docs: Annotated[bool | None, typer.Option(help="Also Docs.")] = None,
    goals: Annotated[bool | None, typer.Option(help="Also goals.")] = None,
    detach: Detach = False,
    json: Json = False,
) -> None:
    """Read everything there is, and find out what is gone. Interrupted, it goes on where it stood.

    What is not said here is as the integration's settings say.
    """
    given = {
        "spaces": space,
        "lists": list_,
        "archived": archived,
        "closed": closed,
        "comments": comments,
        "docs": docs,
        "goals": goals,
    }
    options = {name: value for name, value in given.items() if value is not None}
    with _resumable(f"kb-ingest import {id_}"):
        uvloop.run(_run(load(), id_, IMPORT, options, detach=detach, json=json))


def sync(
    id_: Id,
    *,
    compare: Annotated[
        bool, typer.Option("--verify", help="Change nothing: compare everything, and exit 1 if anything differs.")
    ] = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Go over everything, to find also what is deleted and what has no date.")
    ] = False,
    detach: Detach = False,
    json: Json = False,
) -> None:
    """Read what changed since the cursor, whatever webhooks brought; or prove with --verify that nothing differs."""
    if compare and sweep:
        raise output.Misused("--verify changes nothing and --sweep does; give one of them")
    if compare:
        uvloop.run(verify(load(), id_, json=json))
    else:
        kind = SWEEP if sweep else SYNC
        with _resumable(f"kb-ingest sync {id_}"):
            uvloop.run(_run(load(), id_, kind, {}, detach=detach, json=json))


@contextmanager
def _resumable(command: str) -> Iterator[None]:
    """Whoever interrupts a job learns that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        output.note(f"interrupted; an `imports` consumer, or else the next `{command}`, goes on where this one stopped")
        raise


async def _run(
    settings: Settings, id_: UUID, kind: str, options: Mapping[str, Any], *, detach: bool, json: bool
) -> None:
    async with admin(settings) as database:
        rows = await integrations.find(database, id_)
        if not rows:
            raise output.Failed(f"there is no integration {id_}; see `kb-ingest integration list`")
        if not rows[0]["enabled"]:
            raise output.Failed(f"integration {id_} is disabled; `kb-ingest integration enable {id_}` first")
        job = await _asked(database, id_, kind, options)
        if detach:
            output.json(dict(job)) if json else output.say(f"asked for {kind} {job['id']}")
            return
        ended = await _follow(settings, database, job, json=json)
        await _report(database, ended, json=json)


async def _asked(database: Database, id_: UUID, kind: str, options: Mapping[str, Any]) -> Row:
    """The job: a new one, or the one under way that is just the same."""
    new = NewJob(integration_id=id_, kind=kind, options=options, requested_by=audit.whoami())
    row = await jobs.ask(database, new, job_event)
    if row is None:
        raise output.Failed(f"there is no integration {id_} any more")
    return row


async def _follow(settings: Settings, database: Database, job: Row, *, json: bool) -> Row:
    """Watch a job to its end; do it here when nobody else does."""
    here: asyncio.Task[str | None] | None = None
    waited = 0.0
    async with AsyncExitStack() as stack:
        progress = stack.enter_context(Progress(shown=not json))
        try:
            while True:
                row = await jobs.find(database, job["id"])
                if row is None:
                    raise output.Failed("the job is gone: its integration was deleted")
                progress.show(row)
                if row["status"] in OVER:
                    return row
                if here is not None and here.done():
                    here.result()
                    here = None
                if here is None and (waited := waited + POLL_SECONDS) > HELP_SECONDS:
                    here = await _take(settings, row["id"], stack)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            if here is not None:
                here.cancel()
                with suppress(asyncio.CancelledError):
                    await here


async def _take(settings: Settings, job_id: UUID, stack: AsyncExitStack) -> asyncio.Task[str | None] | None:
    """Take the job if nobody has it."""
    url = settings.need("database_url")
    database = await Database(url, program="import", role="kb_imports", max_size=4).open()
    job = await claim(database, job_id)
    if job is None:
        await database.close()
        return None
    stack.push_async_callback(database.close)
    http = await stack.enter_async_context(transport())
    return asyncio.create_task(
        work_on(database, programs.opener(settings, database, http), job, wake=asyncio.Event()), name="job"
    )


async def _report(database: Database, job: Row, *, json: bool) -> None:
    failed = await jobs.failures(database, job["id"], limit=SHOWN_FAILURES)
    if json:
        kept = {name: value for name, value in job.items() if not name.startswith("lease")}
        output.json(kept | {"failed": [{name: row[name] for name in row.keys() if name != "raw"} for row in failed]})  # noqa: SIM118
    else:
        rows = [{"type": type_, **counts} for type_, counts in job["breakdown"].items()]
        columns = {
            "type": "Type", "imported": "Written", "unchanged": "Unchanged", "deleted": "Deleted", "failed": "Failed"
        }  # fmt: skip
        output.table(columns, rows, empty="there was nothing to read")
        for row in failed:
            output.say(f"failed: {row['type']} {row['external_id']}: {row['reason']}")
        if job["failures"] > len(failed):
            output.say(f"... and {job['failures'] - len(failed)} more; see `kb-ingest jobs show {job['id']}`")
    if job["status"] != "completed":
        raise output.Failed(f"{job['kind']} {job['status']}: {job['error'] or 'no reason given'}")
    if not json:
        output.say(f"{job['kind']} completed with {job['calls']} calls")


@app.command("list", epilog="Example: kb-ingest jobs list --limit 5")
def list_jobs(
    *,
    integration: Annotated[UUID | None, typer.Option(help="Only this integration's.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)] = 20,
    json: Json = False,
) -> None:
    """The latest jobs, newest first."""

    async def find() -> list[Row]:
        async with admin(load()) as database:
            return await database.fetch("job_list", integration, limit)

    rows = asyncio.run(find())
    output.json([_plain(row) for row in rows]) if json else output.table(COLUMNS, rows, empty="no job yet")


@app.command("show", epilog="Example: kb-ingest jobs show 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10")
def show_job(id_: JobId, *, json: Json = False) -> None:
    """One job, and what it could not take over."""

    async def find() -> tuple[Row | None, list[Row]]:
        async with admin(load()) as database:
            return await jobs.find(database, id_), await jobs.failures(database, id_, limit=1000)

    row, failed = asyncio.run(find())
    if row is None:
        raise output.Failed(f"there is no job {id_}; see `kb-ingest jobs list`")
    if json:
        output.json(_plain(row) | {"failed": [dict(one) for one in failed]})
        return
    output.fields(list(_plain(row).items()))
    columns = {"type": "Type", "external_id": "Id", "reason": "Reason"}
    output.table(columns, failed, empty="nothing failed")


@app.command("cancel", epilog="Example: kb-ingest jobs cancel 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10")
def cancel_job(id_: JobId) -> None:
    """End a job after the page it is at; what it read stays."""

    async def cancel() -> bool:
        async with admin(load()) as database:
            return await jobs.cancel(database, id_, job_event)

    if not asyncio.run(cancel()):
        raise output.Failed(f"no job {id_} is under way; see `kb-ingest jobs list`")
    output.say(f"cancelled {id_}")


def _plain(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("lease")}
