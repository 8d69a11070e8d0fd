"""The delivery log by outcome and type: the answers of the view that says what an outcome is, for less reading.

As the gallery asks it, with its role and in the name of an organisation.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import pytest

from bench.plans import Scan, scans
from events.journal import STATEMENTS
from schema.postgres import Database
from schema.postgres import sql as statement
from tests.conftest import until

NOW: Final = datetime.now(UTC).replace(microsecond=0)
DAYS: Final = 5
PAST: Final = """
    SELECT format('CREATE TABLE kb.journal_%s PARTITION OF kb.journal FOR VALUES FROM (%L) TO (%L)',
        to_char(day, 'YYYYMMDD'), day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC')
    FROM (SELECT (now() AT TIME ZONE 'UTC')::date - n AS day FROM generate_series(1, $1) AS n) d"""
ORACLE: Final = """
    SELECT event_id, received_at, applied_at, integration_id, type, subject, size, outcome, reason, tries FROM (
        SELECT *, octet_length(body) AS size FROM kb.deliveries
    ) d
    WHERE outcome = $1 AND integration_id = ANY($2) AND ($3::text IS NULL OR starts_with(type, $3))
      AND ($4::timestamptz IS NULL OR received_at >= $4) AND ($5::timestamptz IS NULL OR received_at < $5)
      AND ($6::text IS NULL OR subject = $6)
    ORDER BY received_at DESC, event_id DESC"""
TYPES: Final = ("clickup.task.updated", "clickup.list.updated", "clickup.unrecognized")


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


class Log:
    """A journal over some days, and who asks for it."""

    def __init__(self, sql: Any, ours: UUID, theirs: UUID, gallery: Database) -> None:
        self.sql, self.ours, self.theirs, self.gallery = sql, ours, theirs, gallery
        self.named = dict[str, UUID]()

    async def deliver(self, name: str, *times: datetime, type_: str = TYPES[0], theirs: bool = False) -> UUID:
        """An event, as often as the source sent it."""
        id_ = self.named.setdefault(name, uuid4())
        await self.sql.executemany(
            "INSERT INTO kb.journal (received_at, event_id, integration_id, type, subject, headers, body)"
            " VALUES ($1, $2, $3, $4, $5, '{}', '\\x00ff')",
            [(at, id_, self.theirs if theirs else self.ours, type_, f"task/{name[:1]}") for at in times],
        )
        return id_

    async def claim(self, name: str, at: datetime, *, consumer: str = "knowledge") -> None:
        """It was applied then."""
        await self.sql.execute(
            "INSERT INTO kb.inbox (consumer, event_id, claimed_at) VALUES ($1, $2, $3)", consumer, self.named[name], at
        )

    async def fail(self, name: str, *times: datetime, theirs: bool = False) -> None:
        """Applying these deliveries failed, as the consumer notes it."""
        many = len(times)
        owner = self.theirs if theirs else self.ours
        await self.sql.execute(
            statement("event_failed"), [self.named[name]] * many, [owner] * many, ["No."] * many, list(times)
        )

    async def asked(
        self, outcome: str, *, at: Any = (None, None), limit: int = 100, of: Any = None, **wanted: Any
    ) -> list[dict[str, Any]]:
        """What the gallery's statement answers."""
        rows = await self.gallery.fetch(
            STATEMENTS[outcome], *at, of or [self.ours], wanted.get("type_"), wanted.get("since"), wanted.get("until"),
            wanted.get("subject"), outcome, limit,
        )  # fmt: skip
        return [{key: row[key] for key in dict(row).keys() - {"journaled_at", "traceparent"}} for row in rows]

    async def right(self, outcome: str, **wanted: Any) -> list[dict[str, Any]]:
        """What the view says."""
        names = ("type_", "since", "until", "subject")
        rows = await self.sql.fetch(ORACLE, outcome, [self.ours], *(wanted.get(name) for name in names))
        return [dict(row) for row in rows]

    async def plan(self, name: str, *arguments: str) -> list[Scan]:
        """What the statement reads in the name of our organisation, planned for its values."""
        text = f"PREPARE asked AS {statement(name)}"
        async with self.sql.transaction():
            await self.sql.execute("SET LOCAL ROLE kb_gallery")
            await self.sql.execute("SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_custom_plan")
            await self.sql.execute(statement("tenant"), "=ours", "*")
            await self.sql.execute(text)
            plan = await self.sql.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({', '.join(arguments)})"
            )
            await self.sql.execute("DEALLOCATE asked")
        return list(scans(orjson.loads(plan)[0]["Plan"]))

    async def fill(self, many: int, *, claimed: bool = True) -> None:
        """So many events a day over all days and up to now, of a common type, all applied."""
        await self.sql.execute(
            "WITH made AS (INSERT INTO kb.journal (received_at, event_id, integration_id, type, subject, headers, body)"
            " SELECT now() - n * interval '1 day' / $1::int, gen_random_uuid(), $2, $3, 'task/' || n, '{}', '\\x00'"
            " FROM generate_series(1, $1 * $4::int) AS n RETURNING event_id, received_at)"
            " INSERT INTO kb.inbox (consumer, event_id, claimed_at)"
            " SELECT 'knowledge', event_id, received_at + interval '1 s' FROM made WHERE $5 ORDER BY received_at",
            many, self.ours, TYPES[0], DAYS, claimed,
        )  # fmt: skip
        await self.sql.execute("VACUUM ANALYZE kb.journal, kb.inbox, kb.event_failures")


@pytest.fixture
async def log(sql: Any, database_url: str) -> AsyncIterator[Log]:
    for command in await sql.fetch(PAST, DAYS):
        await sql.execute(command[0])
    ours, theirs = [
        await sql.fetchval(
            "INSERT INTO kb.integrations (name, display_name, enabled, org_id, project_id)"
            " VALUES ('clickup', 'ClickUp', true, $1, gen_random_uuid()) RETURNING id",
            org,
        )
        for org in ("ours", "theirs")
    ]
    gallery = await Database(database_url, program="test", role="kb_gallery").open()
    yield Log(sql, ours, theirs, gallery.of("ours", None))
    await gallery.close()


async def _everything(log: Log) -> None:
    """Deliveries of every fate."""
    await log.deliver("applied", ago(hours=3))
    await log.claim("applied", ago(hours=3))
    await log.deliver("sent again after it was applied", ago(days=3), ago(hours=2))
    await log.claim("sent again after it was applied", ago(days=3))
    await log.deliver("claimed by a clock that is behind", ago(hours=23, minutes=59))
    await log.claim("claimed by a clock that is behind", ago(days=1, hours=1))
    await log.deliver("claimed by another consumer alone", ago(hours=4))
    await log.claim("claimed by another consumer alone", ago(hours=4), consumer="sync-state")
    await log.deliver("claimed by both", ago(hours=5), type_=TYPES[1])
    await log.claim("claimed by both", ago(hours=5))
    await log.claim("claimed by both", ago(hours=5), consumer="sync-state")
    await log.deliver("waits", ago(hours=1), type_=TYPES[1])
    await log.deliver("waits, sent twice", ago(hours=6), ago(minutes=5))
    await log.deliver("waits for days", ago(days=4))
    await log.deliver("old, and just applied", ago(days=4))
    await log.claim("old, and just applied", ago(minutes=1))
    await log.deliver("failed", ago(hours=7))
    await log.fail("failed", ago(hours=7))
    await log.deliver("failed on two days", ago(days=3, hours=1), ago(days=1, hours=2))
    await log.fail("failed on two days", ago(days=3, hours=1))
    await log.fail("failed on two days", ago(days=1, hours=2))
    await log.deliver("failed twice in one batch", ago(hours=8), ago(hours=9))
    await log.fail("failed twice in one batch", ago(hours=8), ago(hours=9))
    await log.deliver("in quarantine", ago(days=2), type_=TYPES[2])
    await log.fail("in quarantine", ago(days=2))
    await log.deliver("failed with an older program", ago(days=2, hours=3), ago(hours=10))
    await log.fail("failed with an older program", ago(hours=10))
    await log.sql.execute("UPDATE kb.event_failures SET received_from = NULL, received_to = NULL WHERE event_id = $1",
                          log.named["failed with an older program"])  # fmt: skip
    await log.fail("failed with an older program", ago(hours=10))
    await log.deliver("failed, then applied all the same", ago(hours=11))
    await log.fail("failed, then applied all the same", ago(hours=11))
    await log.claim("failed, then applied all the same", ago(hours=10))
    await log.deliver("gone with its day", ago(days=20))
    await log.fail("gone with its day", ago(days=20))
    await log.sql.execute("DELETE FROM kb.journal WHERE event_id = $1", log.named["gone with its day"])
    await log.deliver("theirs waits", ago(hours=1), theirs=True)
    await log.deliver("theirs failed", ago(hours=1), theirs=True)
    await log.fail("theirs failed", ago(hours=1), theirs=True)


@pytest.mark.parametrize("outcome", STATEMENTS)
async def test_the_answers_are_those_of_the_view(log: Log, outcome: str) -> None:
    """Of deliveries of every fate, with every filter, in pages of any size: all of them, each once, in order."""
    await _everything(log)
    seen = 0
    for since, until_, type_, subject in itertools.product(
        (None, ago(days=1), ago(days=3)), (None, ago(hours=1)), (None, *TYPES, "clickup."), (None, "task/f")
    ):
        wanted: dict[str, Any] = {"since": since, "until": until_, "type_": type_, "subject": subject}
        right = await log.right(outcome, **wanted)
        assert await log.asked(outcome, **wanted) == right, wanted
        seen += len(right)
    assert seen > 50
    right = await log.right(outcome)
    for size in (1, 3):
        pages, at = list[dict[str, Any]](), (None, None)
        while page := await log.asked(outcome, at=at, limit=size, since=ago(days=9)):
            pages += page
            at = page[-1]["received_at"], page[-1]["event_id"]
        assert pages == right
    names = {name for name, id_ in log.named.items() if id_ in {row["event_id"] for row in right}}
    assert names == {
        "failed": {"failed", "failed on two days", "failed twice in one batch", "in quarantine",
                   "failed with an older program"},
        "waiting": {"waits", "waits, sent twice", "waits for days", "claimed by another consumer alone"},
    }[outcome]  # fmt: skip


@pytest.mark.parametrize("outcome", STATEMENTS)
async def test_nobody_is_told_of_another_tenant(log: Log, outcome: str) -> None:
    """Whatever integrations are named: PostgreSQL itself shows those of the organisation."""
    await _everything(log)
    assert {row["integration_id"] for row in await log.asked(outcome, of=[log.ours, log.theirs])} == {log.ours}
    assert await log.asked(outcome, of=[log.theirs]) == []


async def test_what_was_heard_of_a_thing_has_the_outcomes_of_the_view(log: Log) -> None:
    """The latest deliveries about it, of its own integration alone."""
    await _everything(log)
    outcomes = set[str]()
    for subject, many in itertools.product(("task/a", "task/c", "task/f", "task/o", "task/s", "task/w"), (2, 100)):
        rows = await log.sql.fetch(
            "SELECT event_id, type, received_at, applied_at, outcome, reason, tries FROM kb.deliveries"
            " WHERE integration_id = $1 AND subject = $2 ORDER BY received_at DESC, event_id LIMIT $3",
            log.ours, subject, many,
        )  # fmt: skip
        heard = await log.gallery.fetch("why_heard", log.ours, subject, many)
        assert [dict(row) for row in heard] == [dict(row) for row in rows]
        outcomes |= {row["outcome"] for row in rows}
    assert outcomes == {"applied", "failed", "waiting"}
    assert await log.gallery.fetch("why_heard", log.theirs, "task/t", 100) == []


async def test_who_waits_is_found_without_looking_up_who_does_not(log: Log) -> None:
    """A day is read and its claims; only what those do not answer is looked up, claims of other days are not."""
    await log.fill(4_000)
    await log.deliver("sent again", ago(days=4), ago(hours=1))
    await log.claim("sent again", ago(days=4))
    waiting = [await log.deliver(f"waits {n}", ago(minutes=n + 1)) for n in range(5)]
    found = await log.asked("waiting", since=ago(days=1))
    assert [row["event_id"] for row in found] == waiting
    read = await log.plan("deliveries_waiting", "NULL", "NULL", "NULL", "NULL", f"'{ago(days=1)}'", "NULL", "NULL",
                          "'waiting'", "51")  # fmt: skip
    looked_up = [scan for scan in read if "inbox_pkey" in scan.what]
    assert sum(scan.pages for scan in looked_up) < 50
    claims = [scan for scan in read if scan.what.endswith(("Heap Scan inbox", "Seq Scan inbox"))]
    assert sum(scan.rows for scan in claims) <= DAYS * 4_000 + 10  # once, not for each event
    assert sum(scan.rows for scan in read if "journal" in scan.what and "Heap" in scan.what) < 3 * 4_000


async def test_a_page_of_a_backlog_looks_up_no_more_than_it_shows(log: Log) -> None:
    """When nothing is applied for a day, all of it waits: it is read once and the page looked up."""
    await log.fill(4_000, claimed=False)
    assert len(await log.asked("waiting", since=ago(days=1), limit=51)) == 51
    read = await log.plan("deliveries_waiting", "NULL", "NULL", "NULL", "NULL", f"'{ago(days=1)}'", "NULL", "NULL",
                          "'waiting'", "51")  # fmt: skip
    assert sum(scan.pages for scan in read if "inbox" in scan.what) < 4 * 51


async def test_a_failure_is_looked_up_in_its_own_day(log: Log) -> None:
    """And in no other: its partition is the only one that is touched."""
    await log.fill(1_000)
    await log.deliver("failed", ago(days=2))
    await log.fail("failed", ago(days=2))
    read = await log.plan("deliveries_failed", *["NULL"] * 7, "'failed'", "51")
    touched = {one[0] for scan in read if scan.pages and (one := re.findall(r"journal_\w+?(?=_|$)", scan.what))}
    assert touched == {f"journal_{ago(days=2):%Y%m%d}"}
    assert sum(scan.rows for scan in read if "journal" in scan.what) <= 2


async def test_an_outage_of_failures_is_paged_by_what_is_shown(log: Log) -> None:
    """Thousands that failed: of the journal a page is read, not all of them."""
    await log.fill(2_000, claimed=False)
    await log.sql.execute(
        "INSERT INTO kb.event_failures (event_id, integration_id, reason, received_from, received_to)"
        " SELECT event_id, integration_id, 'No.', received_at, received_at FROM kb.journal"
    )
    await log.sql.execute("ANALYZE kb.event_failures")
    assert await log.asked("failed", limit=100) == (await log.right("failed"))[:100]
    read = await log.plan("deliveries_failed", *["NULL"] * 7, "'failed'", "51")
    assert sum(scan.rows for scan in read if "journal" in scan.what) < 5 * 51


async def test_days_that_are_over_are_indexed_by_type(log: Log, database_url: str) -> None:
    """Newest first, one a call; not today, not days to come; a seldom type then costs no reading of those days."""
    await log.fill(4_000)
    for day in (1, 3):
        await log.deliver(f"seldom {day}", ago(days=day), type_="clickup.goal.deleted")
    await log.sql.execute("ANALYZE kb.journal")
    journal = await Database(database_url, program="test", role="kb_journal").open()
    made = list[str]()
    while (row := await journal.fetchrow("journal_index_past")) and row["indexed"]:
        made.append(row["indexed"])
    await journal.close()
    days = [datetime.now(UTC) - timedelta(days=day) for day in range(1, DAYS + 1)]
    wanted = [f"journal_{day:%Y%m%d}" for day in days]
    assert made in (wanted, wanted[1:])  # yesterday is over an hour after midnight
    arguments = ["NULL"] * 3 + ["'clickup.goal.'"] + ["NULL"] * 4 + ["51"]
    read = await log.plan("deliveries", *arguments)
    whole = made[:-1]  # of the oldest day only the last hours are filled, at night so little that it is read as it is
    old = [scan for scan in read if any(day in scan.what for day in whole)]
    assert sum(scan.rows for scan in old) < 20
    found = await log.gallery.fetch("deliveries", None, None, None, "clickup.goal.", *[None] * 4, 51)
    assert [row["event_id"] for row in found] == [log.named["seldom 1"], log.named["seldom 3"]]


@pytest.mark.usefixtures("log")
async def test_one_housekeeper_indexes_at_a_time(sql: Any, database_url: str) -> None:
    """Another that asks meanwhile is told that nothing is left, and does not wait."""
    other = await Database(database_url, program="test").open()
    async with sql.transaction():
        assert await sql.fetchval(statement("journal_index_past")) is not None
        assert (await other.fetch("journal_index_past", within=2))[0]["indexed"] is None

    async def next_one() -> bool:
        return (await other.fetch("journal_index_past"))[0]["indexed"] is not None

    await until(next_one)
    await other.close()
