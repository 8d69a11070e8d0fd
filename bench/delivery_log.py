"""The delivery log with millions of events over the 30 days that are kept: listed, filtered, searched, one shown.

    EVENTS=10000000 python -m bench.delivery_log

The target is what must be done, on a warm cache: plan over 38 partitions (some 5 ms, at each call, for the values
decide where to look); read a page of 50 rows with their claims and failures (10 µs each); three round trips.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import uvloop
from rich.console import Console

from bench import cases, filling, plans, scratch
from bench.cases import Answer, Case
from schema.postgres import Database, sql
from tests.services.postgres import find_postgres

EVENTS: Final = int(os.environ.get("EVENTS", "1000000"))
TABLES: Final = ("kb.journal", "kb.inbox", "kb.event_failures")
PAGE: Final = 51
PLAN_MS, ROW_MS, TRIPS_MS = 5.0, 0.01, 0.5
LISTED: Final = PLAN_MS + PAGE * ROW_MS + TRIPS_MS
"""For a page that begins where an index says."""
SHOWN: Final = PLAN_MS + TRIPS_MS
"""For one event: an index of each partition is looked into."""
EACH_MS: Final = 0.0015
"""For an event that is looked at only to be passed over."""
NEWEST: Final = "the newest"
RARE: Final = "of a type of one in 100,000"
PAST: Final = ("now()", f"(now() - interval '{filling.KEPT_DAYS - 1} days')")


async def main() -> None:
    """Measure and print."""
    if not filling.fits(EVENTS * filling.EVENT_OCTETS):
        raise SystemExit(f"{EVENTS:,} events do not fit on the disk")
    async with AsyncExitStack() as stack:
        server = find_postgres()
        stack.callback(server.close)
        await asyncio.to_thread(server.start)
        url = await scratch.database(stack, server.url, "kb_bench_log")
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        await connection.execute(filling.PREPARE)
        await past_days(connection)
        async with filling.bare(connection, TABLES):
            await filling.fill(url, filling.EVENTS, 1, EVENTS, EVENTS, what=f"{EVENTS:,} events")
        while await connection.fetchval(sql("journal_index_past")) is not None:
            pass  # as the housekeeper does
        answers = await _answers(url, await questions(connection))
        unused = await connection.fetch(plans.UNUSED, [name.removeprefix("kb.") for name in TABLES])
        stored = await connection.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
    cases.show(f"delivery log, {EVENTS:,} events", answers)
    if unused:
        Console().print("No question used: " + ", ".join(f"{row['index']} ({row['size']})" for row in unused))
    Console().print(
        f"{EVENTS:,} events in {filling.KEPT_DAYS} days, bodies of 600 octets, {stored}; pages of {PAGE - 1}; "
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}.",
        style="dim",
    )


async def _answers(url: str, asked: list[Case]) -> list[Answer]:
    """All of them one after the other; and the first on a connection of its own, after the one that reads most."""
    answers: list[Answer] = []
    rare, newest = (next(one for one in asked if one.what == what) for what in (RARE, NEWEST))
    after = replace(newest, what="the newest, on a connection that began with the rare type")
    for cases_ in (asked, [rare, after]):
        database = await Database(url, program="bench", role="kb_gallery", max_size=1).open()
        answers += await cases.ask(database.of(filling.ORG, None), cases_)
        await database.close()
    del answers[len(asked)]
    return answers


async def past_days(connection: Any) -> None:
    """The daily partitions as they would be there by now: the server's own function, run for a day long ago."""
    source = await connection.fetchval("SELECT pg_get_functiondef('kb.journal_keep_ahead'::regproc)")
    await connection.execute(source.replace("kb.journal_keep_ahead", "kb.journal_kept_ahead").replace(*PAST))
    await connection.fetchval(f"SELECT kb.journal_kept_ahead({filling.KEPT_DAYS})")


async def questions(connection: Any) -> list[Case]:
    """What the gallery asks: its own statements."""
    ids, now = filling.ids(), datetime.now(UTC)
    part = min(100, 5e5 / EVENTS)
    sample = f"SELECT event_id, received_at, subject FROM kb.journal TABLESAMPLE SYSTEM ({part})"  # noqa: S608
    rows = await connection.fetch(sample)
    lost = await connection.fetch("SELECT event_id FROM kb.event_failures ORDER BY last_at LIMIT 1000")
    many = max(1, len(rows))

    def listed(what: str, target: float, *, statement: str = "deliveries", **wanted: Any) -> Case:
        given = {"integrations": ids} | wanted  # the gallery names those that the credential may see
        names = ("at", "id", "integrations", "type", "since", "until", "subject", "outcome")

        def arguments(number: int) -> tuple[object, ...]:
            values = {name: value(number) if callable(value) else value for name, value in given.items()}
            return *(values.get(name) for name in names), PAGE

        return Case(what=what, statement=statement, arguments=arguments, target=target)

    def row(number: int) -> Any:
        return rows[number * 37 % many]

    last_day = EVENTS / (filling.KEPT_DAYS - 1)
    return [
        listed(NEWEST, LISTED),
        listed("a page anywhere", LISTED, at=lambda n: row(n)["received_at"], id=lambda n: row(n)["event_id"]),
        listed("of an integration with half of all", LISTED, integrations=[ids[0]]),
        listed("of one with one in 20,000", LISTED, integrations=[ids[9]]),
        listed("of one without any", LISTED, integrations=[UUID(int=1)]),
        listed("of a common type", LISTED, type="clickup.task."),
        listed("of a type of one in 50", LISTED + 50 * PAGE * EACH_MS, type="clickup.list."),
        listed(RARE, LISTED + last_day * EACH_MS, type="clickup.goal."),
        listed("about a subject", LISTED, subject=lambda n: row(n)["subject"]),
        listed("about a subject that is nowhere", LISTED, subject="task/none"),
        listed(
            "of an hour",
            LISTED,
            since=lambda n: row(n)["received_at"],
            until=lambda n: row(n)["received_at"] + timedelta(hours=1),
        ),
        listed("applied", LISTED, outcome="applied"),
        listed("failed", LISTED + EVENTS / 16_384 * ROW_MS, statement="deliveries_failed", outcome="failed"),
        listed(
            "waiting, of the last day",
            LISTED + last_day * EACH_MS,
            statement="deliveries_waiting",
            outcome="waiting",
            since=now - timedelta(days=1),
        ),
        Case(what="one event", statement="gallery_event", arguments=lambda n: (row(n)["event_id"],), target=SHOWN),
        Case(
            what="one that failed",
            statement="gallery_event",
            arguments=lambda n: (lost[n % len(lost)]["event_id"],),
            target=SHOWN,
        ),
        Case(
            what="front page: counts",
            statement="gallery_stats",
            arguments=lambda _n: (),
            target=LISTED + EVENTS / (filling.KEPT_DAYS - 1) / 24 * 1e-4,
        ),
        Case(what="front page: what changed", statement="gallery_pulse", arguments=lambda _n: (), target=LISTED),
    ]


if __name__ == "__main__":
    uvloop.run(main())
