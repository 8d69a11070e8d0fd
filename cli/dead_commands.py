"""`kb-ingest dead ...`: what no consumer could handle."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Annotated, Any
from uuid import UUID

import typer

from cli import logs, output, programs
from cli.progress import Progress
from cli.settings import load
from consumers.handlers import consumers
from events.dead_letters import Choice, DeadLetter, dead_letters
from events.topology import Queue

app = typer.Typer(
    help="Dead letters: what no consumer could handle, and why.", epilog="Example: kb-ingest dead list --reasons"
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Ids = Annotated[list[UUID] | None, typer.Argument(metavar="[EVENT]...", help="Events' ids.")]
All = Annotated[bool, typer.Option("--all", help="All that match, instead of ids.")]
OfConsumer = Annotated[str | None, typer.Option("--consumer", help="Only of this consumer.")]
Integration = Annotated[UUID | None, typer.Option(help="Only of this integration.")]
Type = Annotated[str | None, typer.Option("--type", help="Only types that begin so.")]
Reason = Annotated[str | None, typer.Option(help="Only those whose reason has these words.")]
COLUMNS = {
    "id": "Event", "consumer": "Consumer", "type": "Type", "subject": "Subject", "received_at": "Received",
    "died_at": "Given up", "attempts": "Tries", "reason": "Reason",
}  # fmt: skip


@app.command("list", epilog="Example: kb-ingest dead list --consumer knowledge --reasons")
def list_(
    *,
    consumer: OfConsumer = None,
    integration: Integration = None,
    type_: Type = None,
    reason: Reason = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="How many there are for each reason.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=20_000)] = 50,
    json: Json = False,
) -> None:
    """Dead letters, newest first. They stay where they are."""
    found = asyncio.run(_outlines(_choice(None, consumer, integration, type_, reason)))
    if reasons:
        counted = Counter((one["consumer"], one["reason"]) for one in found)
        rows = [{"count": count, "consumer": who, "reason": why} for (who, why), count in counted.most_common(limit)]
        columns = {"count": "Count", "consumer": "Consumer", "reason": "Reason"}
    else:
        rows, columns = found[:limit], COLUMNS
    output.json(rows) if json else output.table(columns, rows, empty="no dead letter, or none that matches")


@app.command(epilog="Example: kb-ingest dead show 4c3a9f3e-6b1d-8a52-9d1e-0f6b7c8d9e0f --payload")
def show(
    event_id: Annotated[UUID, typer.Argument(metavar="EVENT", help="The event's id.")],
    *,
    payload: Annotated[bool, typer.Option("--payload", help="Show what was delivered, too.")] = False,
    json: Json = False,
) -> None:
    """One dead letter, with its headers; of each consumer that could not handle it."""
    found = asyncio.run(_outlines(Choice(ids=[event_id]), headers=True, payload=payload))
    if not found:
        raise output.Failed(f"no dead letter is of event {event_id}; see `kb-ingest dead list`")
    if json:
        output.json(found)
        return
    for one in found:
        headers = one.pop("headers")
        output.fields([*one.items(), *((f"header {name}", value) for name, value in headers.items())])


@app.command(epilog="Example: kb-ingest dead replay --all --reason 'no integration'")
def replay(
    ids: Ids = None,
    *,
    all_: All = False,
    consumer: OfConsumer = None,
    integration: Integration = None,
    type_: Type = None,
    reason: Reason = None,
    json: Json = False,
) -> None:
    """Give dead letters back to the consumer that could not handle them, from the first attempt."""
    _settle(ids, all_=all_, wanted=_choice(ids, consumer, integration, type_, reason), revive=True, json=json)


@app.command(epilog="Example: kb-ingest dead discard 4c3a9f3e-6b1d-8a52-9d1e-0f6b7c8d9e0f")
def discard(
    ids: Ids = None,
    *,
    all_: All = False,
    consumer: OfConsumer = None,
    integration: Integration = None,
    type_: Type = None,
    reason: Reason = None,
    json: Json = False,
) -> None:
    """Take dead letters off the broker for good. The journal keeps its deliveries."""
    _settle(ids, all_=all_, wanted=_choice(ids, consumer, integration, type_, reason), revive=False, json=json)


def _choice(
    ids: list[UUID] | None, consumer: str | None, integration: UUID | None, type_: str | None, reason: str | None
) -> Choice:
    known = [one.consumer for one in _queues()]
    if consumer not in (None, *known):
        raise output.Misused(f"no consumer with a queue is called {consumer!r}; there are {', '.join(known)}")
    return Choice(ids=ids or None, consumer=consumer, integration_id=integration, type=type_, reason=reason)


def _settle(ids: list[UUID] | None, *, all_: bool, wanted: Choice, revive: bool, json: bool) -> None:
    if bool(ids) == all_:
        raise output.Misused("give the ids of events, or --all with filters")
    settled = asyncio.run(_settled(wanted, revive=revive, quiet=json))
    word = "replayed" if revive else "discarded"
    if missing := set(ids or ()) - settled.keys():
        raise output.Failed(
            f"{word} {settled.total()}; no dead letter is of event {', '.join(map(str, sorted(missing)))}"
        )
    output.json({word: settled.total()}) if json else output.say(f"{word} {settled.total()} dead letters")


async def _outlines(wanted: Choice, *, headers: bool = False, payload: bool = False) -> list[dict[str, Any]]:
    async with AsyncExitStack() as stack:
        found = await _opened(stack, wanted)
        return [
            one.outline()
            | ({"headers": dict(one.delivery.headers)} if headers else {})
            | ({"payload": one.delivery.body.decode("utf-8", "replace")} if payload else {})
            for one in found
        ]


async def _settled(wanted: Choice, *, revive: bool, quiet: bool) -> Counter[UUID]:
    """Settle what is chosen, oldest first; how many of each event's."""
    settled: Counter[UUID] = Counter()
    async with AsyncExitStack() as stack:
        found = await _opened(stack, wanted)
        progress = stack.enter_context(Progress(shown=not quiet, unit="dead letters"))
        for done, one in enumerate(reversed(found), start=1):
            if revive:
                await one.subscription.revive(one.delivery)
            else:
                await one.subscription.ack([one.delivery])
            settled[one.id] += 1
            progress.step("replaying" if revive else "discarding", done, len(found))
    return settled


async def _opened(stack: AsyncExitStack, wanted: Choice) -> list[DeadLetter]:
    logs.configure(level="error", form="console")
    bus = await programs.reachable_bus(load(), stack)
    return await stack.enter_async_context(dead_letters(bus, _queues(), wanted))


def _queues() -> list[Queue]:
    return [queue for consumer in consumers().values() if (queue := consumer.queue) is not None]
