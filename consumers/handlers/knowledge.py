"""`knowledge`: apply what changed to the knowledge base.

In one transaction it claims the events, writes what their sources say now, and puts what changed into the outbox.
Before that, and outside of it, it asks each source once for everything the batch is about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from consumers.applied import tell
from consumers.handlers import Consumer, Resources
from consumers.outbox import relay
from consumers.outcome import Postponed, Refused, reason
from consumers.worker import Handle
from events.envelope import Envelope
from events.topology import KNOWLEDGE
from integrations.budget import Priority
from integrations.registry import Delivered, Impossible, NotNow, providers
from integrations.sealing import SealError
from schema.knowledge import apply
from schema.postgres import Row, Transaction
from schema.records import Look

NAME: Final = KNOWLEDGE.consumer
APPLY_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 60.0


def build(resources: Resources) -> Handle:
    """The handler, see `worker.Handle`."""

    async def handle(batch: Sequence[Envelope]) -> Mapping[UUID, Exception]:
        fresh, observed_at = await _fresh(resources, batch)
        looks, failed = await _look(resources, fresh)
        handled = [envelope for envelope in fresh if envelope.id not in failed]
        traces = {envelope.id: envelope.traceparent for envelope in fresh}
        if handled:
            async with resources.database.transaction(within=APPLY_SECONDS) as transaction:
                await transaction.fetch("claim", NAME, [envelope.id for envelope in handled])
                for integration, look in looks:
                    changed = await apply(
                        transaction,
                        integration=integration,
                        source=integration["name"],
                        look=look,
                        observed_at=observed_at,
                    )
                    await tell(transaction, changed, traces)
                    await _explain(transaction, integration["id"], look)
                await transaction.execute("sync_succeeded", list({envelope.integration_id for envelope in handled}))
                await transaction.execute("event_mended", [envelope.id for envelope in handled])
            resources.wake.set()
        if failed:
            await _note(resources, fresh, failed)
        return failed

    return handle


async def _fresh(resources: Resources, batch: Sequence[Envelope]) -> tuple[list[Envelope], datetime]:
    """The events nobody has applied yet, and the database's time before we look at any source."""
    row = await resources.database.fetchrow("claimed", NAME, [envelope.id for envelope in batch])
    assert row is not None  # noqa: S101  an aggregate has one row
    applied = set(row["event_ids"])
    distinct = {envelope.id: envelope for envelope in reversed(batch) if envelope.id not in applied}
    return list(reversed(distinct.values())), row["observed_at"]


async def _look(
    resources: Resources, fresh: Sequence[Envelope]
) -> tuple[list[tuple[Row, Look]], dict[UUID, Exception]]:
    """One look an integration, all at the same time; and by event id why some could not be looked into."""
    grouped: dict[UUID, list[Envelope]] = {}
    for envelope in fresh:
        grouped.setdefault(envelope.integration_id, []).append(envelope)
    rows = await resources.database.fetch("integration_settings", list(grouped)) if grouped else []
    known = {row["id"]: row for row in rows}
    failed: dict[UUID, Exception] = {
        envelope.id: Refused(f"there is no integration {envelope.integration_id}; it was deleted")
        for envelope in fresh
        if envelope.integration_id not in known
    }
    enabled = [row for row in rows if row["enabled"]]  # a disabled one keeps its data and stops following
    found = await asyncio.gather(*(_look_one(resources, row, grouped[row["id"]]) for row in enabled))
    looks: list[tuple[Row, Look]] = []
    for row, (look, errors) in sorted(zip(enabled, found, strict=True), key=lambda pair: pair[0]["id"]):
        looks.append((row, look))
        failed |= errors
    return looks, failed


async def _look_one(
    resources: Resources, integration: Row, envelopes: Sequence[Envelope]
) -> tuple[Look, Mapping[UUID, Exception]]:
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


async def _explain(transaction: Transaction, integration_id: UUID, look: Look) -> None:
    """What a sync had found first was not missed, when a delivery tells of it after all."""
    ids = [told.ref.object_id(integration_id) for told in look.told]
    await transaction.execute("missed_arrived", integration_id, ids, [told.changed_at for told in look.told])


async def _note(resources: Resources, fresh: Sequence[Envelope], failed: Mapping[UUID, Exception]) -> None:
    """Write the failures where operators look: each event's reason, and one of them as the integration's last error.

    A delivery that says nothing we know is no failure to follow the source: it rests in quarantine.
    """
    lost = [envelope for envelope in fresh if envelope.id in failed]
    await resources.database.execute(
        "event_failed",
        [envelope.id for envelope in lost],
        [envelope.integration_id for envelope in lost],
        [reason(failed[envelope.id]) for envelope in lost],
    )
    reasons = {
        envelope.integration_id: str(failed[envelope.id])
        for envelope in lost
        if not envelope.type.endswith(".unrecognized")
    }
    await resources.database.execute("sync_failed", list(reasons), list(reasons.values()))


async def _relay(resources: Resources) -> None:
    await relay(resources.database, resources.bus, wake=resources.wake, stop=resources.stop)


CONSUMER: Final = Consumer(
    name=KNOWLEDGE.consumer, queue=KNOWLEDGE, role="kb_knowledge", build=build, background=(_relay,), concurrency=4
)
