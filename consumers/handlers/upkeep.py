"""`upkeep`: looks after webhooks and asks for syncs and sweeps, on its own timer. Any number of them may run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from consumers import standing
from consumers.handlers import Consumer, Resources
from consumers.hooks import Keeper, Wish, names
from consumers.outcome import where
from events.applied import job_event
from schema import jobs
from schema.errors import DatabaseUnavailable
from schema.jobs import NewJob

ACTOR: Final = "upkeep"
AT_A_TIME: Final = 4
"""Hooks of one process: a source that does not answer holds up nobody else's hook."""
SHORTEST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
FORGET_SECONDS: Final = 3600.0
STOP_SECONDS: Final = 3.0

log = structlog.get_logger()


async def keep(resources: Resources) -> None:
    """Do what is due, again and again, until `stop`; then end what is in hand, by force if it takes long."""
    every = resources.timing.look
    pause = min(max(every.total_seconds() / 10, SHORTEST_PAUSE), LONGEST_PAUSE)
    keeper = Keeper(
        database=resources.database,
        opener=resources.opener,
        keyring=resources.keyring,
        public_url=resources.public_url,
        actor=ACTOR,
        every=every,
    )
    log.info("upkeep.started", every=every.total_seconds())
    turns = [
        _again(resources.stop, pause, lambda: _schedule(resources)),
        _again(resources.stop, standing.LOOK_SECONDS, lambda: _measure(resources)),
        _again(resources.stop, FORGET_SECONDS, lambda: _forget(resources)),
        *(_again(resources.stop, pause, lambda: _look(keeper)) for _ in range(AT_A_TIME)),
    ]
    tasks = [asyncio.create_task(turn, name="upkeep") for turn in turns]
    try:
        await resources.stop.wait()
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _again(stop: asyncio.Event, pause: float, do: Callable[[], Awaitable[bool]]) -> None:
    """Until `stop`: do it while there is more to do, then pause."""
    while not stop.is_set():
        try:
            while await do() and not stop.is_set():
                pass
        except DatabaseUnavailable as error:
            log.warning("upkeep.waiting_for_database", error=str(error))
        except Exception as error:  # one integration's trouble, whatever it is, is not the others'
            log.error("upkeep.broke", error=where(error))  # noqa: TRY400  a message may quote what was read
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()


async def _look(keeper: Keeper) -> bool:
    """Look after one hook that is due; whether there was one."""
    await keeper.database.execute("hook_know", None)
    if (taken := await keeper.due()) is None:
        return False
    tended = await keeper.tend(taken, Wish())
    log.info(
        "webhook.checked",
        integration_id=str(taken["id"]),
        status=tended.hook.status if tended.hook else "missing",
        fail_count=tended.hook.fail_count if tended.hook else None,
        did=names(tended.deeds),
        problem=tended.problem,
    )
    return True


async def _schedule(resources: Resources) -> bool:
    """Ask for the syncs and sweeps that are due: what no webhook tells of is found by looking."""
    timing = resources.timing
    for row in await resources.database.fetch("jobs_due", timing.sync, timing.sweep):
        job = NewJob(integration_id=row["integration_id"], kind=row["kind"], reason="scheduled", requested_by=ACTOR)
        async with resources.database.transaction() as transaction:
            await jobs.request(transaction, job, job_event, unless_waiting=True)
    return False


async def _measure(resources: Resources) -> bool:
    """Look up the metrics of the whole installation."""
    await standing.look(resources.database)
    return False


async def _forget(resources: Resources) -> bool:
    """Old secrets go. Seldom, for every change of secrets has ingest read them all."""
    await resources.database.execute("hook_secrets_forget")
    return False


CONSUMER: Final = Consumer(name="upkeep", role="kb_upkeep", background=(keep,))
