"""`kb-ingest rebuild`: an integration's objects anew from its source, beside the knowledge base until promoted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Final
from uuid import UUID

import typer

from cli import audit, logs, output, programs
from cli.comparing import SHOWN, described, show_differences
from cli.progress import Progress
from cli.settings import Settings, load
from consumers import shadow as rebuilding
from consumers.differences import DIFFERENT, EXTRA, MISSING
from consumers.shadow import Build, Diff
from integrations.budget import Priority
from integrations.clickup.client import transport
from integrations.registry import Impossible, NotNow, providers
from schema import shadow
from schema.postgres import Database, Row
from schema.shadow import Discarded

SUMS: Final = {
    "type": "Type", "compared": "Compared", MISSING: "Missing", DIFFERENT: "Different", EXTRA: "Extra"
}  # fmt: skip
WRITTEN: Final = {"type": "Type", "imported": "Written", "deleted": "Deleted"}


def rebuild(
    id_: Annotated[UUID, typer.Argument(metavar="ID", help="The integration's id.")],
    *,
    build: Annotated[bool, typer.Option("--shadow", help="Build everything anew, beside the knowledge base.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what differs from the knowledge base.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Write what differs into the knowledge base.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Forget what was built.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build objects anew with today's mapping, compare, promote. Nothing changes before --promote."""
    chosen = [
        step for given, step in ((build, _build), (diff, _diff), (promote, _promote), (discard, _discard)) if given
    ]
    if len(chosen) != 1:
        raise output.Misused("give one of --shadow, --diff, --promote and --discard, usually in this order")
    asyncio.run(_run(load(), id_, chosen[0], json=json))


Step = Callable[[Settings, Database, Row, bool], Awaitable[None]]


async def _run(settings: Settings, id_: UUID, step: Step, *, json: bool) -> None:
    async with _database(settings) as database:
        rows = await database.fetch("integration_settings", [id_])
        if not rows:
            raise output.Failed(f"there is no integration {id_}; see `kb-ingest integration list`")
        try:
            await step(settings, database, rows[0], json)
        except Discarded as error:
            raise output.Failed(f"{error}; `kb-ingest rebuild {id_} --shadow` builds a new one") from error


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    """The database under the role that reads whole sources and writes what it finds, and may nothing else."""
    logs.configure(level="error", form="console")
    database = await Database(settings.need("database_url"), program="rebuild", role="kb_imports", max_size=4).open()
    try:
        yield database
    finally:
        await database.close()


async def _build(settings: Settings, database: Database, integration: Row, json: bool) -> None:
    async with transport() as http:
        with Progress(shown=not json) as progress:
            try:
                await Build(
                    database=database,
                    provider=providers()[integration["name"]],
                    access=programs.opener(settings, database, http).open(integration, Priority.IMPORT),
                    integration_id=integration["id"],
                    progress=progress.step,
                ).run()
            except Impossible as error:
                raise output.Failed(f"the source could not be read: {error}") from error
            except NotNow as error:
                raise output.Failed(f"the source could not be read, give the same command to go on: {error}") from error
    built = await rebuilding.sums(database, integration["id"])
    if json:
        output.json({"built": built})
        return
    _counts("Built", built)
    output.say(f"nothing is changed yet; see `kb-ingest rebuild {integration['id']} --diff`")


async def _diff(_settings: Settings, database: Database, integration: Row, json: bool) -> None:
    build = await _finished(database, integration["id"])
    found = await rebuilding.diff(database, integration["id"])
    if json:
        output.json(
            {
                "built_at": build["finished_at"],
                "compared": found.compared,
                "differences": described(found.differences),
                "count": len(found.differences),
                "unread": [{"type": ref.type, "id": ref.id} for ref in found.unread],
            }
        )
        return
    output.table(SUMS, _sums(found), empty="the shadow is empty")
    show_differences(found.differences)
    for ref in found.unread[:SHOWN]:
        output.say(f"not readable, so left as it is: {ref.type} {ref.id}")


async def _promote(_settings: Settings, database: Database, integration: Row, json: bool) -> None:
    build = await _finished(database, integration["id"])
    with Progress(shown=not json, unit="pages") as progress:
        job = await rebuilding.promote(database, integration, build, by=audit.whoami(), progress=progress.step)
    if json:
        output.json({"job": job["id"], "breakdown": job["breakdown"]})
        return
    rows = [{"type": type_, **counts} for type_, counts in job["breakdown"].items()]
    output.table(WRITTEN, rows, empty="nothing differed, so nothing was written")
    output.say(f"promoted as job {job['id']}; `kb-ingest rebuild {integration['id']} --discard` forgets the shadow")


async def _discard(_settings: Settings, database: Database, integration: Row, json: bool) -> None:
    if not await shadow.discard(database, integration["id"]):
        raise output.Failed(f"integration {integration['id']} has no shadow")
    output.json({"discarded": True}) if json else output.say("discarded; the knowledge base is as it was")


async def _finished(database: Database, id_: UUID) -> Row:
    row = await shadow.find(database, id_)
    if row is None or row["finished_at"] is None:
        what = "has no shadow" if row is None else "has a shadow that is not finished"
        raise output.Failed(f"integration {id_} {what}; `kb-ingest rebuild {id_} --shadow` builds it")
    return row


def _sums(found: Diff) -> list[Mapping[str, object]]:
    counted = Counter((one.ref.type, one.what) for one in found.differences)
    types = dict.fromkeys([*found.compared, *(one.ref.type for one in found.differences)])
    return [
        {"type": type_, "compared": found.compared[type_]}
        | {what: counted[type_, what] for what in (MISSING, DIFFERENT, EXTRA)}
        for type_ in types
    ]


def _counts(title: str, counts: Mapping[str, int]) -> None:
    rows = [{"type": type_, "count": number} for type_, number in counts.items()]
    output.table({"type": "Type", "count": title}, rows, empty="the source has nothing")
