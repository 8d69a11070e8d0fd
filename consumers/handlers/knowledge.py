"""`knowledge`: apply what changed to the knowledge base.

What a delivery states is written at once (`schema.amendments`). Then it waits for the look it shares with its
neighbours (`consumers.coalescing`), still unsettled: each source is asked once for everything that is due. In one
transaction the events are claimed, what their sources say now is written, and what changed is put into the outbox.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from consumers import metrics
from consumers.coalescing import Windows
from consumers.handlers import Consumer, Resources
from consumers.outbox import relay
from consumers.outcome import Postponed, Refused, reason
from consumers.sorting import Heard, Known, Sorted, Versions, along, by_integration, sort
from consumers.worker import Handle
from events.applied import tell
from events.envelope import Envelope
from events.topology import KNOWLEDGE
from integrations.budget import Priority
from integrations.registry import Delivered, Impossible, NotNow, Preview, providers
from integrations.sealing import SealError
from schema import amendments, knowledge
from schema.amendments import Standing
from schema.postgres import Row, Transaction
from schema.records import Look, Ref

NAME: Final = KNOWLEDGE.consumer
APPLY_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 60.0


def build(resources: Resources) -> Handle:
    """The handler, see `worker.Handle`."""
    windows = Windows[Heard](window=resources.timing.window.total_seconds())

    async def handle(batch: Sequence[Envelope]) -> Mapping[UUID, Exception | None]:
        fresh, observed_at = await _fresh(resources, batch)
        heard, failed = await _hear(resources, fresh)
        known = await _standing(resources, heard)
        if await _amend(resources, known, [one for one in heard if not windows.heard(one.envelope.id)]):
            observed_at = await _database_time(resources)
        batched = sort(windows, known, heard, now=time.monotonic())
        looks, unread = await _look(resources, batched.due)
        failed |= unread
        for one in batched.due:
            if one.envelope.id in failed:
                batched.reads.pop(one.thing, None)
        others = [*batched.superseded, *along(windows, batched.reads, _versions(looks))]
        held = batched.held.keys() - {one.envelope.id for one in others}
        left = failed.keys() | held
        applied = {one.envelope.id: one for one in [*others, *heard] if one.envelope.id not in left}
        if handled := _handled(fresh, applied, left):
            await _apply(resources, handled, list(applied.values()), looks, observed_at)
            resources.wake.set()
        if failed:
            await _note(resources, batch, failed)
        windows.cover(batched.reads)
        windows.settle([*(envelope.id for envelope in batch if envelope.id not in held), *applied])
        _count(resources, batched, others, failed)
        return {**failed, **{id_: batched.held[id_] for id_ in held}, **dict.fromkeys(applied)}

    return handle


def _handled(fresh: Sequence[Envelope], applied: Mapping[UUID, Heard], left: Collection[UUID]) -> list[Envelope]:
    """What is applied, and what nobody needs to apply: a disabled integration does not follow its source."""
    others = [envelope for envelope in fresh if envelope.id not in applied and envelope.id not in left]
    return others + [one.envelope for one in applied.values()]


async def _fresh(resources: Resources, batch: Sequence[Envelope]) -> tuple[list[Envelope], datetime]:
    """The events nobody has applied yet, and the database's time before we look at any source."""
    row = await resources.database.fetchrow("claimed", NAME, [envelope.id for envelope in batch])
    assert row is not None  # noqa: S101  an aggregate has one row
    applied = set(row["event_ids"])
    distinct = {envelope.id: envelope for envelope in reversed(batch) if envelope.id not in applied}
    return list(reversed(distinct.values())), row["observed_at"]


async def _database_time(resources: Resources) -> datetime:
    row = await resources.database.fetchrow("database_time")
    assert row is not None  # noqa: S101  it returns one row
    now: datetime = row["now"]
    return now


async def _hear(resources: Resources, fresh: Sequence[Envelope]) -> tuple[list[Heard], dict[UUID, Exception]]:
    """What each event says by itself; and which belong to no integration. A disabled one does not follow its source."""
    ids = list({envelope.integration_id for envelope in fresh})
    rows = await resources.database.fetch("integration_settings", ids) if ids else []
    known = {row["id"]: row for row in rows}
    failed: dict[UUID, Exception] = {
        envelope.id: Refused(f"there is no integration {envelope.integration_id}; it was deleted")
        for envelope in fresh
        if envelope.integration_id not in known
    }
    heard = [
        Heard(envelope, row, providers()[row["name"]].preview(envelope.data, envelope.time))
        for envelope in fresh
        if (row := known.get(envelope.integration_id)) is not None and row["enabled"]
    ]
    return heard, failed


async def _standing(resources: Resources, heard: Sequence[Heard]) -> Known:
    """How the rows stand that these are about."""
    known: dict[UUID, Mapping[Ref, Standing]] = {}
    for id_, group in by_integration(heard):
        refs = {one.preview.ref for one in group if one.preview.ref is not None}
        known[id_] = await knowledge.standing(resources.database, id_, refs) if refs else {}
    return known


async def _amend(resources: Resources, known: Known, heard: Sequence[Heard]) -> bool:
    """Write what these state, where it is news; whether any row changed."""
    amended = False
    for id_, group in by_integration(heard):
        stated = [
            amendment
            for one in group
            for amendment in one.preview.amendments
            if (row := known[id_].get(amendment.ref)) is not None and row.lacks(amendment)
        ]
        changed = set(await amendments.amend(resources.database, id_, stated)) if stated else set()
        for one in group:
            if one.preview.ref is not None and one.preview.ref.object_id(id_) in changed:
                _landed(resources, one, "stated")
        amended = amended or bool(changed)
    return amended


async def _look(resources: Resources, heard: Sequence[Heard]) -> tuple[list[tuple[Row, Look]], dict[UUID, Exception]]:
    """One look an integration, all at the same time; and by event id why some could not be looked into."""
    groups = by_integration(heard)
    found = await asyncio.gather(*(_look_one(resources, group) for _, group in groups))
    looks: list[tuple[Row, Look]] = []
    failed: dict[UUID, Exception] = {}
    for (_, group), (look, errors) in zip(groups, found, strict=True):
        looks.append((group[0].integration, look))
        failed |= errors
    return looks, failed


def _versions(looks: Sequence[tuple[Row, Look]]) -> Versions:
    return {
        (integration["id"], record.ref): record.updated_at
        for integration, look in looks
        for record, _ in look.records
        if not record.insert_only
    }


async def _look_one(resources: Resources, heard: Sequence[Heard]) -> tuple[Look, Mapping[UUID, Exception]]:
    integration, envelopes = heard[0].integration, [one.envelope for one in heard]
    try:
        access = resources.opener.open(integration, Priority.WEBHOOK)
    except SealError as error:
        return Look(), {envelope.id: Postponed(str(error)) for envelope in envelopes}
    deliveries = [
        Delivered(event_id=envelope.id, received_at=envelope.time, body=envelope.data) for envelope in envelopes
    ]
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            look, errors = await providers()[integration["name"]].look(deliveries, access)
    except TimeoutError:
        slow = Postponed(f"{integration['name']} did not answer everything within {LOOK_SECONDS:g} s")
        return Look(), {envelope.id: slow for envelope in envelopes}
    return look, {event_id: _verdict(error) for event_id, error in errors.items()}


def _verdict(error: Exception) -> Exception:
    match error:
        case Impossible():
            return Refused(str(error))
        case NotNow():
            return Postponed(str(error))
        case _:
            return error


async def _apply(
    resources: Resources,
    handled: Sequence[Envelope],
    heard: Sequence[Heard],
    looks: Sequence[tuple[Row, Look]],
    observed_at: datetime,
) -> None:
    """Claims, rows, edges, tombstones and outbox: all of it, or nothing."""
    traces = {envelope.id: envelope.traceparent for envelope in handled}
    verdicts: list[tuple[int, int]] = []
    async with resources.database.transaction(within=APPLY_SECONDS) as transaction:
        await transaction.fetch("claim", NAME, [envelope.id for envelope in handled])
        for integration, look in looks:
            records = [record for record, _ in look.records]
            verdicts.append(await amendments.compare(transaction, integration["id"], records))
            changed = await knowledge.apply(
                transaction,
                integration=integration,
                source=integration["name"],
                look=look,
                observed_at=observed_at,
            )
            await tell(transaction, changed, traces)
        for id_, group in by_integration(heard):
            await _explain(transaction, id_, [one.preview for one in group])
        await transaction.execute("sync_succeeded", list({envelope.integration_id for envelope in handled}))
        await transaction.execute("event_mended", [envelope.id for envelope in handled])
    for confirmed, corrected in verdicts:
        metrics.compared(confirmed, corrected)


async def _explain(transaction: Transaction, integration_id: UUID, told: Sequence[Preview]) -> None:
    """What a sync had found first was not missed, when a delivery tells of it after all, looked into or not."""
    about = [(one.ref.object_id(integration_id), one.changed_at) for one in told if one.ref is not None]
    ids, times = [id_ for id_, _ in about], [changed_at for _, changed_at in about]
    await transaction.execute("missed_arrived", integration_id, ids, times)


async def _note(resources: Resources, batch: Sequence[Envelope], failed: Mapping[UUID, Exception]) -> None:
    """Write the failures where operators look: each event's reason, and one of them as the integration's last error.

    A delivery that says nothing we know is no failure to follow the source: it rests in quarantine.
    """
    lost = [envelope for envelope in batch if envelope.id in failed]
    await resources.database.execute(
        "event_failed",
        [envelope.id for envelope in lost],
        [envelope.integration_id for envelope in lost],
        [reason(failed[envelope.id]) for envelope in lost],
        [envelope.time for envelope in lost],
    )
    reasons = {
        envelope.integration_id: str(failed[envelope.id])
        for envelope in lost
        if not envelope.type.endswith(".unrecognized")
    }
    await resources.database.execute("sync_failed", list(reasons), list(reasons.values()))


def _count(resources: Resources, batched: Sorted, others: Sequence[Heard], failed: Mapping[UUID, Exception]) -> None:
    read = [one for one in batched.due if one.thing is not None and one.envelope.id not in failed]
    reads = len({one.thing for one in read})
    metrics.READS.inc(reads)
    metrics.SAVED.inc(len(read) - reads + len(batched.done) + len(others))
    for one in read:
        if not one.preview.complete:
            _landed(resources, one, "read")


def _landed(resources: Resources, one: Heard, how: str) -> None:
    metrics.landed(how, changed_at=one.preview.changed_at, received_at=one.envelope.time, now=resources.now())


async def _relay(resources: Resources) -> None:
    await relay(resources.database, resources.bus, wake=resources.wake, stop=resources.stop)


CONSUMER: Final = Consumer(
    name=NAME, queue=KNOWLEDGE, role="kb_knowledge", build=build, background=(_relay,), concurrency=4, prefetch=2000
)
