"""The delivery log read back: what became of each event, and applying them anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from consumers.handlers.journal import KEEP_DAYS
from events.bus import Bus
from events.envelope import Envelope
from events.journal import Search, replay, search
from integrations.sealing import Keyring
from schema.postgres import Database
from tests import source
from tests.conftest import SAMPLES, sample, until
from tests.house import House, house, now, samples, wrapped
from tests.source import TASK, Source

UNKNOWN = {"event": "chatPosted", "webhook_id": "x"}


@pytest.fixture
async def clickup() -> AsyncIterator[Source]:
    async with Source().serving() as running:
        running.answers = source.story()
        yield running


@pytest.fixture
async def at(database: Database, sql: Any, keyring: Keyring, clickup: Source) -> AsyncIterator[House]:
    async with house(database, sql, keyring, clickup.url) as one:
        yield one


async def replayed(at: House, wanted: Search, *ids: Any, bus: Bus | None = None, rate: float = 1000) -> int:
    told: list[tuple[int, int]] = []
    done = await replay(
        at.database,
        bus or at.bus,
        wanted,
        ids=list(ids) or None,
        rate=rate,
        progress=lambda *state: told.append(state),
    )
    assert told == sorted(told)
    assert told[-1] == (done, done)
    return done


async def outcomes(at: House) -> dict[str, str]:
    """By type, of what was delivered."""
    return {row["type"]: row["outcome"] for row in await search(at.database, Search(), limit=100)}


async def test_each_event_has_an_outcome(at: House, clickup: Source) -> None:
    """Applied, failed so far, or not there yet; a failure has its reason until the event is applied."""
    working = clickup.answers[f"task/{TASK}"]
    clickup.answers[f"task/{TASK}"] = (400, {"err": "Task is odd", "ECODE": "ODD_1"})
    await at.deliver(sample("space-updated"), sample("task-status-updated"), UNKNOWN)
    async with at.consuming("journal"):
        await at.idle_but("kb.knowledge", "kb.sync-state")
    assert set((await outcomes(at)).values()) == {"waiting"}
    async with at.consuming():
        await at.idle()
    assert await outcomes(at) == {
        "clickup.space.updated": "applied",
        "clickup.task.status_updated": "failed",
        "clickup.unrecognized": "failed",
    }
    (failed,) = await search(at.database, Search(outcome="failed", subject=f"task/{TASK}"), limit=9)
    assert "ODD_1" in failed["reason"]
    clickup.answers[f"task/{TASK}"] = working
    assert await replayed(at, Search(outcome="failed", type="clickup.task")) == 1
    async with at.consuming():
        await at.idle()
    assert (await outcomes(at))["clickup.task.status_updated"] == "applied"
    assert (await at.object("task", TASK))["status"] == "in progress"


async def test_replaying_everything_changes_nothing(at: House) -> None:
    """Rows, edges, versions and statistics are the same after the whole journal was applied anew."""
    await at.deliver(*samples(SAMPLES))
    async with at.consuming():
        await at.idle()
        before = await at.outline()
        assert len(before[0]) > 8
        count = await at.sql.fetchval("SELECT count(DISTINCT event_id) FROM kb.journal")
        assert await replayed(at, Search()) == count
        await at.idle()
    assert await at.outline() == before


async def test_a_replay_mends_what_is_wrong(at: House) -> None:
    """A row that was spoilt is as the source says again, though nothing changed there."""
    (envelope,) = await at.deliver(sample("task-status-updated"))
    async with at.consuming():
        await at.idle()
        await at.sql.execute(
            "UPDATE kb.objects SET title = 'spoilt', content_hash = '\\x00' WHERE external_id = $1", TASK
        )
        assert await replayed(at, Search(), envelope.id) == 1
        await at.idle()
    assert (await at.object("task", TASK))["title"].startswith("Write the incident playbook")


async def test_filters_choose(at: House) -> None:
    """Integration, type, subject, time and outcome choose, each alone and together; ids choose among them."""
    envelopes = await at.deliver(sample("space-updated"), sample("task-status-updated"), sample("task-deleted"))
    async with at.consuming("journal"):
        await at.idle_but("kb.knowledge")
    first, later = envelopes[0], envelopes[2]
    for wanted, expected in [
        (Search(), 3),
        (Search(type="clickup.task"), 2),
        (Search(subject=later.subject, type="clickup.task.deleted"), 1),
        (Search(since=first.time, until=later.time), 2),
        (Search(since=later.time), 1),
        (Search(until=first.time), 0),
        (Search(integration_id=at.connected.id), 3),
        (Search(integration_id=first.id), 0),
        (Search(outcome="waiting"), 3),
        (Search(outcome="applied"), 0),
    ]:
        assert len(await search(at.database, wanted, limit=10)) == expected, wanted
        assert await replayed(at, wanted) == expected, wanted
    newest = await search(at.database, Search(), limit=2)
    assert [row["event_id"] for row in newest] == [envelopes[2].id, envelopes[1].id]
    assert await replayed(at, Search(type="clickup.task"), first.id, later.id) == 1


async def test_what_is_replayed_says_so_and_keeps_its_id(at: House) -> None:
    """A subscriber may tell; the journal keeps one row a delivery."""
    (envelope,) = await at.deliver(sample("task-status-updated"))
    async with at.consuming("journal"):
        await at.idle_but("kb.knowledge")
        tail = await at.bus.tail(["clickup.#"])
        await replayed(at, Search())
        (delivery,) = await tail.receive(limit=10, within=5)
        await at.idle_but("kb.knowledge")
    again = Envelope.decode(delivery.headers, delivery.body)
    assert (again.id, again.time, again.traceparent, again.data) == (
        envelope.id, envelope.time, envelope.traceparent, envelope.data,
    )  # fmt: skip
    assert (envelope.replayed, again.replayed) == (False, True)
    assert await at.sql.fetchval("SELECT count(*) FROM kb.journal") == 1


async def test_a_replay_keeps_its_rate(at: House) -> None:
    """Twenty events at forty a second take half a second."""
    bodies = [orjson.dumps({"event": "taskDeleted", "task_id": f"t{turn}", "webhook_id": "x"}) for turn in range(20)]
    await at.deliver(*bodies)
    async with at.consuming("journal"):
        await at.idle_but("kb.knowledge")
    started = now()
    assert await replayed(at, Search(), rate=40) == 20
    assert now() - started >= timedelta(seconds=0.45)


async def test_a_failure_says_when_its_deliveries_were_received(at: House, clickup: Source) -> None:
    """The first and the last of those that failed, whether the source sent the event again at once or later."""
    clickup.answers[f"task/{TASK}"] = (400, {"err": "Task is odd", "ECODE": "ODD_1"})
    body = sample("task-status-updated")
    noted = "SELECT received_from, received_to FROM kb.event_failures"
    first, again = await at.deliver(body, body)
    async with at.consuming():
        await at.idle()
        assert [tuple(row) for row in await at.sql.fetch(noted)] == [(first.time, again.time)]
        (later,) = await at.deliver(body)
        await at.idle()
    assert first.id == again.id == later.id
    assert [tuple(row) for row in await at.sql.fetch(noted)] == [(first.time, later.time)]


async def test_the_housekeeper_keeps_what_became_of_the_oldest_day(at: House) -> None:
    """What is still in the journal has its outcome, to the first second; a day that is over is indexed by type."""
    day = (now() - timedelta(days=KEEP_DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
    await at.sql.execute(
        f"CREATE TABLE kb.journal_{day:%Y%m%d} PARTITION OF kb.journal"
        f" FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
    )
    envelopes = wrapped(at.connected, sample("space-updated"), sample("task-deleted"), at=day)
    await at.bus.publish(envelopes, within=10)
    ids, times = [one.id for one in envelopes], [one.time for one in envelopes]
    await at.sql.execute("INSERT INTO kb.inbox VALUES ('knowledge', $1, $2)", ids[0], times[0])
    await at.sql.execute(
        "INSERT INTO kb.event_failures (event_id, integration_id, reason, last_at) VALUES ($1, $2, 'No.', $3)",
        ids[1], at.connected.id, times[1],
    )  # fmt: skip
    with capture_logs() as logs:
        async with at.consuming("journal"):
            await at.idle_but("kb.knowledge")
            await until(lambda: any(line["event"] == "journal.housekeeping" for line in logs))
    assert await outcomes(at) == {"clickup.space.updated": "applied", "clickup.task.deleted": "failed"}
    assert await at.sql.fetchval("SELECT to_regclass($1)", f"kb.journal_{day:%Y%m%d}_type_idx") is not None
