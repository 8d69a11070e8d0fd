"""`kb-ingest events ...`: the delivery log, and what happens right now."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer

from cli import logs, output, programs
from cli.progress import Progress
from cli.settings import Settings, load
from cli.setup import admin
from events import journal
from events.bus import Delivery
from events.envelope import Envelope
from events.errors import Malformed
from events.journal import OUTCOMES, Search
from schema.postgres import Row

app = typer.Typer(
    help="The delivery log, and what happens right now.", epilog="Example: kb-ingest events list --limit 20"
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Integration = Annotated[UUID | None, typer.Option(help="Only of this integration.")]
Type = Annotated[str | None, typer.Option("--type", help="Only types that begin so.")]
Subject = Annotated[str | None, typer.Option(help="Only about this: <entity>/<id>.")]
OfOutcome = Annotated[str | None, typer.Option(metavar="|".join(OUTCOMES), help="Only those with this outcome.")]
Since = Annotated[datetime | None, typer.Option(help="Received at or after this time (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Received before this time (UTC).")]
COLUMNS = {
    "received_at": "Received",
    "type": "Type",
    "subject": "Subject",
    "event_id": "Event",
    "integration_id": "Integration",
    "size": "Bytes",
    "outcome": "Outcome",
    "reason": "Reason",
}


@app.command("list", epilog="Example: kb-ingest events list --subject task/868cq4m2x --outcome failed")
def list_(
    *,
    integration: Integration = None,
    type_: Type = None,
    subject: Subject = None,
    outcome: OfOutcome = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 50,
    json: Json = False,
) -> None:
    """Accepted deliveries, newest first, and what became of each."""
    wanted = _search(integration, type_, subject, outcome, since, until)

    async def find() -> list[Row]:
        async with admin(load()) as database:
            return await journal.search(database, wanted, limit=limit)

    rows = asyncio.run(find())
    if json:
        output.json([dict(row) for row in rows])
    else:
        output.table(COLUMNS, rows, empty="no delivery yet, or none that matches")


@app.command(epilog="Example: kb-ingest events replay --all --integration 6f1d... --since 2026-11-01")
def replay(
    ids: Annotated[list[UUID] | None, typer.Argument(metavar="[EVENT]...", help="Events' ids.")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All that match, instead of ids.")] = False,
    integration: Integration = None,
    type_: Type = None,
    subject: Subject = None,
    outcome: OfOutcome = None,
    since: Since = None,
    until: Until = None,
    rate: Annotated[float, typer.Option(help="Events a second, at most.", min=0.1, max=1000)] = 50.0,
    json: Json = False,
) -> None:
    """Apply deliveries anew: publish them again, with their ids. Rows change only where they were wrong."""
    if bool(ids) == all_:
        raise output.Misused("give the ids of events, or --all with filters")
    wanted = _search(integration, type_, subject, outcome, since, until)
    done = asyncio.run(_replay(load(), wanted, ids or None, rate=rate, quiet=json))
    if ids and done < len(set(ids)):
        raise output.Failed(
            f"replayed {done} of {len(set(ids))}: the others are not in the journal; see `kb-ingest events list`"
        )
    output.json({"replayed": done}) if json else output.say(f"replayed {done} events")


async def _replay(settings: Settings, wanted: Search, ids: list[UUID] | None, *, rate: float, quiet: bool) -> int:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(admin(settings))
        bus = await programs.reachable_bus(settings, stack)
        progress = stack.enter_context(Progress(shown=not quiet, unit="events"))
        return await journal.replay(
            database,
            bus,
            wanted,
            ids=ids,
            rate=rate,
            progress=lambda done, total: progress.step("replaying", done, total),
        )


def _search(
    integration: UUID | None,
    type_: str | None,
    subject: str | None,
    outcome: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Search:
    if outcome is not None and outcome not in OUTCOMES:
        raise output.Misused(f"no outcome is called {outcome!r}; there are {', '.join(OUTCOMES)}")
    return Search(
        integration_id=integration,
        type=type_,
        subject=subject,
        outcome=outcome,
        since=_utc(since),
        until=_utc(until),
    )


@app.command(epilog="Example: kb-ingest events show 4c3a9f3e-6b1d-8a52-9d1e-0f6b7c8d9e0f --payload")
def show(
    event_id: Annotated[UUID, typer.Argument(metavar="EVENT", help="The event's id.")],
    *,
    payload: Annotated[bool, typer.Option("--payload", help="Show what was delivered, too.")] = False,
    json: Json = False,
) -> None:
    """One event: each time it was delivered, with its headers."""
    rows = asyncio.run(_fetch(load(), "journal_show", event_id))
    if not rows:
        raise output.Failed(f"the journal has no event {event_id}; see `kb-ingest events list`")
    found = [_event(row, payload=payload) for row in rows]
    if json:
        output.json(found)
        return
    for event in found:
        headers = event.pop("headers")
        output.fields([*event.items(), *((f"header {name}", value) for name, value in headers.items())])


def _event(row: Row, *, payload: bool) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name != "body"} | {"size": len(row["body"])}
    return fields | {"payload": bytes(row["body"]).decode("utf-8", "replace")} if payload else fields


async def _fetch(settings: Settings, query: str, *arguments: object) -> list[Row]:
    async with admin(settings) as database:
        return await database.fetch(query, *arguments)


def _utc(when: datetime | None) -> datetime | None:
    return None if when is None else when.replace(tzinfo=UTC)


@app.command(epilog="Example: kb-ingest events tail 'knowledge.task.#'")
def tail(
    patterns: Annotated[list[str] | None, typer.Argument(metavar="[PATTERN]...", help="Topic patterns.")] = None,
    *,
    count: Annotated[int | None, typer.Option(help="End after so many events.", min=1)] = None,
    json: Json = False,
) -> None:
    """Show events as they are published, until Ctrl-C."""
    asyncio.run(_tail(load(), patterns or ["#"], count=count, json=json))


async def _tail(settings: Settings, patterns: list[str], *, count: int | None, json: bool) -> None:
    logs.configure(level="error", form="console")
    stop = programs.until_signal()
    async with AsyncExitStack() as stack:
        bus = await programs.reachable_bus(settings, stack)
        subscription = await bus.tail(patterns)
        shown = 0
        while not stop.is_set() and (count is None or shown < count):
            deliveries = await subscription.receive(limit=100, within=0.5)
            for delivery in deliveries[: None if count is None else count - shown]:
                _print(delivery, json=json)
                shown += 1
            await subscription.ack(deliveries)


def _print(delivery: Delivery, *, json: bool) -> None:
    try:
        event = Envelope.decode(delivery.headers, delivery.body)
    except Malformed as error:
        output.complain(f"a message that is not an event: {error}")
        return
    if json:
        fields = {"id": str(event.id), "type": event.type, "subject": event.subject, "time": event.time}
        line = fields | {"integration_id": str(event.integration_id), "data": event.data.decode("utf-8", "replace")}
        output.say(orjson.dumps(line).decode())
    else:
        at = f"{event.time.astimezone():%H:%M:%S.%f}"[:-3]
        output.say(f"{at}  {event.type:<34} {event.subject or '-':<28} {event.id}")
