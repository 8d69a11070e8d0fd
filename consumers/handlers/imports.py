"""`imports`: jobs over a whole source: full imports, incremental syncs, sweeps.

Its queue only says that there is a job: jobs rest in `kb.jobs`, where any replica takes the next one, and one whose
worker died goes on where it stood.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import orjson
import structlog

from consumers.handlers import Consumer, Resources
from consumers.jobs import claim, work_on
from consumers.outbox import relay
from consumers.outcome import Refused, where
from consumers.worker import Handle
from events.applied import job_event
from events.envelope import Envelope
from events.topology import IMPORTS
from integrations.errands import IMPORT, SWEEP, SYNC
from schema import jobs
from schema.errors import DatabaseUnavailable
from schema.jobs import NewJob

REQUESTED: Final = "import.requested"
AT_A_TIME: Final = 4
"""Jobs of one process; those of one integration never run at the same time."""
LOOK_SECONDS: Final = 2.0
STOP_SECONDS: Final = 3.0

log = structlog.get_logger()


def build(resources: Resources) -> Handle:
    """The handler, see `worker.Handle`."""

    async def handle(batch: Sequence[Envelope]) -> Mapping[UUID, Exception]:
        failed: dict[UUID, Exception] = {}
        async with resources.database.transaction() as transaction:
            for envelope in batch:
                if envelope.type != REQUESTED:
                    continue  # a job's own story, which is bound here so that it is never unroutable
                try:
                    job = read(envelope)
                except (ValueError, TypeError, KeyError) as error:
                    failed[envelope.id] = Refused(f"not a request for a job: {where(error)}")
                else:
                    await jobs.request(transaction, job, job_event)
        resources.knock.set()
        return failed

    return handle


def read(envelope: Envelope) -> NewJob:
    """The job that an `import.requested` event asks for. Raises `ValueError`, `TypeError` or `KeyError`."""
    told: dict[str, Any] = orjson.loads(envelope.data)
    kind = told.get("kind", IMPORT)
    if kind not in (IMPORT, SYNC, SWEEP):
        raise ValueError("kind is none of import, sync, sweep")
    return NewJob(
        id=UUID(str(told["id"])) if told.get("id") else envelope.id,
        integration_id=envelope.integration_id,
        kind=kind,
        options=dict(told.get("options") or {}),
        reason=str(told.get("reason") or "requested by an event")[:200],
        requested_by=str(told["requested_by"])[:200] if told.get("requested_by") else None,
    )


async def work(resources: Resources) -> None:
    """Take jobs and run them until `stop`; then put back what is in hand."""
    running: set[asyncio.Task[str | None]] = set()
    try:
        while not resources.stop.is_set():
            resources.knock.clear()
            taken = await _take(resources) if len(running) < AT_A_TIME else None
            if taken is not None:
                running.add(taken)
                taken.add_done_callback(running.discard)
                taken.add_done_callback(lambda _task: resources.knock.set())
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await _first(resources.knock, resources.stop)
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=STOP_SECONDS)


async def _take(resources: Resources) -> asyncio.Task[str | None] | None:
    try:
        job = await claim(resources.database)
    except DatabaseUnavailable as error:
        log.warning("imports.waiting_for_database", error=str(error))
        return None
    if job is None:
        return None

    async def run() -> str | None:
        try:
            return await work_on(resources.database, resources.opener, job, wake=resources.wake)
        except Exception:  # it is told already, and the job goes on when its lease runs out
            return None

    return asyncio.create_task(run(), name=f"job {job['id']}")


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _relay(resources: Resources) -> None:
    await relay(resources.database, resources.bus, wake=resources.wake, stop=resources.stop)


CONSUMER: Final = Consumer(
    name=IMPORTS.consumer, queue=IMPORTS, role="kb_imports", build=build, background=(work, _relay)
)
