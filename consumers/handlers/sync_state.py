"""`sync-state`: cursors and statistics, from what was applied and not from what arrived. Each change counts once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from consumers.handlers import Consumer, Resources
from consumers.outcome import Refused, where
from consumers.worker import Handle
from events.envelope import Envelope
from events.topology import SYNC_STATE
from schema.sync import Change, fold

NAME: Final = SYNC_STATE.consumer


def build(resources: Resources) -> Handle:
    """The handler, see `worker.Handle`."""

    async def handle(batch: Sequence[Envelope]) -> Mapping[UUID, Exception]:
        changes: dict[UUID, Change] = {}
        failed: dict[UUID, Exception] = {}
        for envelope in batch:
            try:
                changes[envelope.id] = read(envelope)
            except (ValueError, TypeError, KeyError) as error:
                failed[envelope.id] = Refused(f"not a knowledge event: {where(error)}")
        if changes:
            async with resources.database.transaction() as transaction:
                claimed = await transaction.fetch("claim", NAME, list(changes))
                await transaction.execute("sync_fold", fold(changes[row["event_id"]] for row in claimed))
        return failed

    return handle


def read(envelope: Envelope) -> Change:
    """The change a `knowledge.*` event tells of. Raises `ValueError`, `TypeError` or `KeyError`."""
    told = orjson.loads(envelope.data)
    updated_at = told["external_updated_at"]
    return Change(
        integration_id=envelope.integration_id,
        external_type=str(told["external_type"]),
        external_updated_at=datetime.fromisoformat(updated_at) if updated_at else None,
        applied_at=envelope.time,
    )


CONSUMER: Final = Consumer(name=SYNC_STATE.consumer, queue=SYNC_STATE, role="kb_sync_state", build=build)
