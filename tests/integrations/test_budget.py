"""The rate budget: one for all processes, never refused, hardly anything unused, webhooks first."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from uuid import UUID, uuid4

import pytest

from integrations.budget import Budget, Priority, Turns, blocked, said
from schema.errors import DatabaseUnavailable
from schema.postgres import Database
from tests.conftest import until

pytestmark = pytest.mark.timeout(90)


@dataclass
class Limiter:
    """A source that counts calls in fixed windows, and says so in its headers; its clock is not ours."""

    calls: int
    seconds: float
    skew: float = 0.0
    started: float = -math.inf
    used: int = 0
    refused: int = 0
    windows: list[int] = field(default_factory=list)
    by: Counter[UUID] = field(default_factory=Counter)

    def call(self, who: UUID) -> tuple[int, Mapping[str, str]]:
        now = time.time()
        if now >= self.started + self.seconds:
            self.windows.append(self.used)
            self.started, self.used = now, 0
        status = 200 if self.used < self.calls else 429
        if status == 200:
            self.used += 1
            self.by[who] += 1
        else:
            self.refused += 1
        headers = {
            "x-ratelimit-limit": str(self.calls),
            "x-ratelimit-remaining": str(self.calls - self.used),
            "x-ratelimit-reset": str(math.ceil(self.started + self.seconds + self.skew)),
            "date": formatdate(now + self.skew, usegmt=True),
        }
        return status, headers


async def backlog(turns: Turns, limiter: Limiter, who: UUID, stop: asyncio.Event, *, hands: int = 4) -> None:
    """Call without end, several at a time."""

    async def one() -> None:
        while not stop.is_set():
            async with turns.turn() as turn:
                await asyncio.sleep(0.01)
                turn.answered(*limiter.call(who))

    tasks = [asyncio.create_task(one()) for _ in range(hands)]
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def turns(database: Database, integration_id: UUID, priority: Priority = Priority.IMPORT) -> Turns:
    """As a process of its own has them."""
    return Budget(database).turns(url="https://api", token="pk", integration_id=integration_id, priority=priority)


@pytest.mark.parametrize("skew", [0.0, -3600.0, 90.0])
async def test_a_backlog_uses_it_all_and_is_never_refused(database: Database, skew: float) -> None:
    """Four processes with more to do than they may: no refusal, nearly every call used, shared by integrations
    alike; a webhook's read waits for nobody meanwhile. Our clock and the source's need not agree.

    The window is short, so that the whole seconds of its reset and what is kept for webhooks until a second before it
    weigh twelve times as much as in a minute.
    """
    limiter, stop, waits = Limiter(calls=60, seconds=5, skew=skew), asyncio.Event(), []
    first, second = uuid4(), uuid4()
    busy = [
        asyncio.create_task(backlog(turns(database, who), limiter, who, stop)) for who in (first, first, first, second)
    ]
    webhooks = turns(database, first, Priority.WEBHOOK)
    learnt = None
    while len(limiter.windows) < 5:
        if learnt is None and len(limiter.windows) == 2:
            learnt = limiter.by.copy()  # until the limit is known nobody waits, and each process has as many calls
        began = time.monotonic()
        async with webhooks.turn() as turn:
            waits.append(time.monotonic() - began)
            turn.answered(*limiter.call(first))
        await asyncio.sleep(0.7)
    stop.set()
    await asyncio.gather(*busy)
    assert limiter.refused == 0
    assert min(limiter.windows[2:]) >= 0.8 * limiter.calls, limiter.windows
    assert max(waits) < 2
    assert learnt is not None
    shared = limiter.by - learnt
    share = shared[second] / shared.total()
    assert 0.25 < share < 0.6, "three processes against one, two integrations"


async def test_a_process_that_dies_gives_back_what_it_held(database: Database, sql: Any) -> None:
    """Turns of a process that is not heard of any more are free again."""
    limiter = Limiter(calls=4, seconds=60)
    mine, dead = turns(database, uuid4(), Priority.WEBHOOK), turns(database, uuid4(), Priority.WEBHOOK)
    async with mine.turn() as turn:
        turn.answered(*limiter.call(uuid4()))
    held = [dead.turn() for _ in range(3)]
    for one in held:
        await one.__aenter__()
    late = asyncio.create_task(mine.turn().__aenter__())
    await asyncio.sleep(0.6)
    assert not late.done()
    await sql.execute("UPDATE kb.api_callers SET seen_at = seen_at - interval '20 seconds' WHERE open = 3")
    await asyncio.wait_for(late, 5)


async def test_webhooks_go_before_syncs_and_syncs_before_imports(database: Database) -> None:
    """What imports and syncs may take at once leaves something to those before them."""
    limiter, integration = Limiter(calls=100, seconds=60), uuid4()
    taken: Counter[Priority] = Counter()

    async def take(priority: Priority) -> None:
        line = turns(database, integration, priority)
        while True:
            async with line.turn() as turn:
                turn.answered(*limiter.call(integration))
                taken[priority] += 1

    for priority, most in ((Priority.IMPORT, 52), (Priority.SYNC, 78), (Priority.WEBHOOK, 100)):
        task = asyncio.create_task(take(priority))
        before = -1
        while before != sum(taken.values()):
            before = sum(taken.values())
            await asyncio.sleep(0.8)
            if sum(taken.values()) - before <= 2:
                break  # from here on it only trickles
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert sum(taken.values()) <= most + 3
    assert limiter.refused == 0
    assert all(taken[priority] > 10 for priority in Priority)


async def test_a_refusal_stops_everybody(database: Database) -> None:
    """After a 429 nobody calls until the source says it may, whoever heard it."""
    one, other = turns(database, uuid4(), Priority.WEBHOOK), turns(database, uuid4(), Priority.WEBHOOK)
    now = time.time()
    async with one.turn() as turn:
        turn.answered(429, {"retry-after": "2"})
    await asyncio.sleep(0.2)
    async with other.turn():
        assert time.time() - now >= 1.9


async def test_nobody_waits_while_nothing_is_said(database: Database) -> None:
    """A source without limits in its headers is called at once, however often."""
    line = turns(database, uuid4())
    began = time.monotonic()

    async def one() -> None:
        async with line.turn() as turn:
            turn.answered(200, {})

    await asyncio.gather(*(one() for _ in range(300)))
    assert time.monotonic() - began < 5


async def test_giving_up_leaks_nothing(database: Database, sql: Any) -> None:
    """Who stops waiting, or fails in mid-call, holds nothing afterwards."""
    limiter, line = Limiter(calls=1, seconds=60), turns(database, uuid4(), Priority.WEBHOOK)
    async with line.turn() as turn:
        turn.answered(*limiter.call(uuid4()))
    waiting = [asyncio.create_task(line.turn().__aenter__()) for _ in range(3)]
    await asyncio.sleep(0.3)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    async def nothing() -> bool:
        row = await sql.fetchrow("SELECT sum(wanted) AS wanted, sum(open) AS open FROM kb.api_callers")
        return (row["wanted"], row["open"]) == (0, 0)

    await until(nothing)


async def test_without_a_database_nobody_can_say(database: Database) -> None:
    """Whoever waits hears that the database is away, and so hears the next one."""
    away = await Database("postgresql://nobody@127.0.0.1:1/none", program="test").open()
    line = turns(away, uuid4())
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(line.turn().__aenter__(), 10)
    await away.close()
    assert database is not None


DATE = {"date": "Sun, 15 Mar 2026 10:00:00 GMT"}
LIMIT = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "7", "x-ratelimit-reset": "1773568830"}


def test_what_the_headers_say() -> None:
    """Limit, remaining and the seconds to the reset by the source's own clock; half of it is nothing."""
    told = said({**LIMIT, **DATE})
    assert told is not None
    assert (told.calls, told.remaining, told.resets_in) == (100, 7, 30.0)
    assert said(LIMIT) is None
    assert said({**LIMIT, **DATE, "x-ratelimit-limit": "many"}) is None
    assert said({**LIMIT, **DATE, "x-ratelimit-limit": "0"}) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60.0),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": "9999"}, 60.0),
        ({"retry-after": "soon"}, 60.0),
        ({**LIMIT, **DATE}, 30.0),
        ({**LIMIT, **DATE, "retry-after": "0"}, 1.0),
    ],
)
def test_how_long_a_refusal_lasts(headers: dict[str, str], seconds: float) -> None:
    """As the source says, between a second and a minute; a minute if it says nothing."""
    assert blocked(headers) == seconds
