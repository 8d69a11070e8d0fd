"""Jobs over a whole source: complete, resumable, cancellable, and nobody's deletion by mistake."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest

from consumers.jobs import claim, work_on
from integrations.access import Access
from integrations.clickup.simulator.server import Simulator
from integrations.errands import IMPORT, SWEEP, SYNC, Errand, Page
from integrations.registry import providers
from integrations.sealing import Keyring
from schema import jobs
from schema.postgres import Database
from tests.conftest import until
from tests.consumers.following import TOKEN, Following, following

pytestmark = pytest.mark.timeout(90)

KINDS = {
    "nested folder": "folder", "nested list": "list", "folderless list": "list", "archived list": "list",
    "subtask": "task", "closed task": "task", "archived task": "task", "reply": "comment", "key result": "key_result",
}  # fmt: skip
"""What a thing is, where its name does not begin with it."""


@pytest.fixture
async def at(database: Database, sql: Any, keyring: Keyring) -> AsyncIterator[Following]:
    """A workspace with one of everything, imported."""
    async with following(database, sql, keyring) as one:
        yield one


@pytest.fixture
async def fresh(database: Database, sql: Any, keyring: Keyring) -> AsyncIterator[Following]:
    """The same, nothing read yet."""
    async with following(database, sql, keyring, imported=False) as one:
        yield one


async def test_an_import_brings_everything(at: Following) -> None:
    """Every thing that a listing hides is there, nothing differs, and the state and the sums say so."""
    for name, id_ in at.ids.items():
        if name != "page":  # a part of its Doc
            assert await at.alive(KINDS.get(name) or name.split(" ", maxsplit=1)[0], id_), name
    assert await at.differences() == []
    state = await at.state()
    written = await at.sql.fetchval("SELECT count(*) FROM kb.objects")
    assert (state["import_status"], state["total_imported_objects"]) == ("completed", written)
    assert state["active_import_job_id"] is None
    assert state["last_full_import_at"] is not None
    assert int(state["sync_cursor"]) > 1_600_000_000_000
    again = await at.run(IMPORT)
    sums = again["breakdown"]
    assert not any(counts.get("imported") or counts.get("deleted") for counts in sums.values())
    assert sum(counts["unchanged"] for counts in sums.values()) == written
    assert again["done"] <= again["total"]


async def test_a_killed_import_goes_on_where_it_stood(
    fresh: Following, database: Database, sql: Any, keyring: Keyring
) -> None:
    """Killed again and again it ends like one that was not, and asks little twice."""
    async with following(database, sql, keyring) as clean:
        calls = sum(clean.simulator.calls.values())
    fresh.simulator.faults.api_latency = 0.03
    job, chance, kills = await fresh.ask(IMPORT), random.Random(3), 0  # noqa: S311  a story
    while (row := await jobs.find(fresh.database, job["id"])) and row["status"] in ("queued", "running"):
        await sql.execute("UPDATE kb.jobs SET lease_until = now() - interval '1 second' WHERE id = $1", job["id"])
        taken = await claim(fresh.database, job["id"])
        assert taken is not None
        before = sum(fresh.simulator.calls.values())
        running = asyncio.create_task(work_on(fresh.database, fresh.opener, taken, wake=asyncio.Event()))
        patience = before + chance.randint(13, 16)
        await until(lambda: running.done() or sum(fresh.simulator.calls.values()) > patience)  # noqa: B023
        kills += not running.done()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert row is not None
    assert (row["status"], kills >= 2) == ("completed", True)
    fresh.simulator.faults.api_latency = 0.0
    assert await fresh.differences() == []
    # each kill asks again for the page it was at, the structure of a space or the comments of some tasks
    assert row["calls"] <= calls + 2
    outline = "SELECT external_type, external_id, encode(content_hash, 'hex'), deleted_at FROM kb.objects WHERE "
    rows = [
        sorted(tuple(one) for one in await sql.fetch(f"{outline} integration_id = $1", id_))
        for id_ in (fresh.connected.id, clean.connected.id)
    ]
    assert [one[:2] for one in rows[0]] == [one[:2] for one in rows[1]]


async def test_two_never_run_the_same(fresh: Following) -> None:
    """One claim wins; another job of the same integration waits; a lease that ran out may be taken."""
    first, second = await fresh.ask(IMPORT), await fresh.ask(SYNC)
    claims = await asyncio.gather(*(claim(fresh.database) for _ in range(6)))
    assert [row["id"] for row in claims if row is not None] == [first["id"]]
    assert await claim(fresh.database, second["id"]) is None
    await fresh.sql.execute("UPDATE kb.jobs SET lease_until = now() - interval '1 second'")
    taken = await claim(fresh.database)
    assert taken is not None
    assert (taken["id"], taken["starts"]) == (first["id"], 2)
    stale = next(row for row in claims if row is not None)
    assert await work_on(fresh.database, fresh.opener, stale, wake=asyncio.Event()) is None
    assert await fresh.sql.fetchval("SELECT count(*) FROM kb.objects") == 0


async def test_a_job_is_cancelled(fresh: Following) -> None:
    """One that waits is over at once; one that runs ends after its page, and what it read stays."""
    waiting = await fresh.ask(SYNC)
    assert await jobs.cancel(fresh.database, waiting["id"], lambda row, _action: ({}, str(row["id"]).encode()))
    assert await claim(fresh.database, waiting["id"]) is None
    job = await fresh.ask(IMPORT)
    taken = await claim(fresh.database, job["id"])
    assert taken is not None
    fresh.simulator.faults.api_latency = 0.2
    running = asyncio.create_task(work_on(fresh.database, fresh.opener, taken, wake=asyncio.Event()))

    async def begun() -> bool:
        return bool(await fresh.sql.fetchval("SELECT count(*) FROM kb.objects"))

    await until(begun)
    assert await jobs.cancel(fresh.database, job["id"], lambda row, _action: ({}, str(row["id"]).encode()))
    assert await running == "cancelled"
    assert (await fresh.state())["import_status"] == "idle"
    assert not await jobs.cancel(fresh.database, job["id"], lambda _row, _action: ({}, b""))


async def test_a_refused_token_ends_it_with_the_reason(at: Following) -> None:
    """It fails at once, says why where operators look, and the next one that works ends the row of failures."""
    at.simulator.workspace.disable_member(at.simulator.workspace.owner.id)
    failed = await at.run(IMPORT)
    assert failed["status"] == "failed"
    assert "TokenRefused" in failed["error"]
    state = await at.state()
    assert (state["import_status"], state["consecutive_failures"]) == ("failed", 1)
    assert "import: " in state["last_error"]
    at.simulator.workspace.enable_member(at.simulator.workspace.owner.id)
    assert (await at.run(SYNC))["status"] == "completed"
    assert (await at.state())["consecutive_failures"] == 0


async def test_a_sweep_finds_what_is_gone(at: Following) -> None:
    """Deleted tasks, lists, comments, Docs and key results, which no webhook told of, are gone; archived ones stay."""
    ws = at.simulator.workspace
    ws.delete_task(at.ids["closed task"])
    ws.delete_list(at.ids["nested list"])
    ws.delete_comment(at.ids["comment"])
    ws.delete_doc(at.ids["doc"])
    ws.delete_key_result(at.ids["goal"], at.ids["key result"])
    ws.archive_task(at.ids["subtask"])
    lost = await at.differences()
    swept = await at.run(SWEEP)
    assert swept["status"] == "completed"
    for kind, name in (
        ("task", "closed task"), ("list", "nested list"), ("task", "task in nested list"), ("comment", "comment"),
        ("comment", "reply"), ("doc", "doc"), ("key_result", "key result"),
    ):  # fmt: skip
        assert not await at.alive(kind, at.ids[name]), name
    assert await at.alive("task", at.ids["subtask"])
    assert await at.differences() == []
    assert set(await at.missed()) >= {(one.ref.type, one.ref.id) for one in lost}


async def test_what_is_restored_lives_again(at: Following) -> None:
    """A list that was deleted and then taken out of the trash comes back with its tasks, by its listing."""
    ws = at.simulator.workspace
    ws.delete_list(at.ids["list"])
    await at.run(SWEEP)
    assert not await at.alive("task", at.ids["task"])
    ws.restore_list(at.ids["list"])
    await at.run(SWEEP)
    assert await at.alive("list", at.ids["list"])
    assert await at.differences() == []


async def test_losing_sight_of_everything_deletes_nothing(at: Following) -> None:
    """A token that suddenly sees no space any more is a failure and not the end of the world."""
    at.simulator.faults.gone_ids.update(at.simulator.workspace.spaces)
    swept = await at.run(SWEEP)
    assert swept["status"] == "failed"
    assert "sees no space" in swept["error"]
    assert await at.alive("space", at.ids["space"])
    assert await at.alive("task", at.ids["task"])


async def test_a_comparison_counts_things_and_not_reads(at: Following) -> None:
    """What is edited while it is listed is listed again, and is still one thing."""
    clickup = providers()["clickup"]

    async def walk(errand: Errand, access: Access) -> AsyncIterator[Page]:
        async for page in clickup.walk(errand, access):
            yield page
            yield replace(page, last=False)

    comparison = await at.comparison(replace(clickup, walk=walk))
    assert (await comparison.run()).differences == []
    stored = await at.sql.fetch("SELECT external_type, count(*) FROM kb.objects GROUP BY 1")
    assert comparison.result.compared == {row["external_type"]: row["count"] for row in stored}


async def test_a_sync_reads_what_changed_and_the_gap_says_what(at: Following) -> None:
    """The cursor is never past a change that is not applied; what no delivery brought is counted; a late one is not."""
    cursor = int((await at.state())["sync_cursor"])
    at.simulator.workspace.rename_task(at.ids["task"], "Renamed unheard")
    new = at.simulator.workspace.create_task(at.ids["list"], "New and unheard")[0]["task_id"]
    changed = at.simulator.workspace.tasks[at.ids["task"]].updated
    assert cursor < changed
    synced = await at.run(SYNC)
    assert synced["status"] == "completed"
    assert (await at.object("task", at.ids["task"]))["title"] == "Renamed unheard"  # type: ignore[index]
    assert await at.missed() == sorted([("task", at.ids["task"]), ("task", new)])
    assert int((await at.state())["sync_cursor"]) >= cursor
    row = await at.object("task", at.ids["task"])
    assert row is not None
    await at.database.execute("missed_arrived", at.connected.id, [row["id"]], [row["external_updated_at"]])
    assert await at.missed() == [("task", new)]


async def test_a_first_sync_is_no_gap(fresh: Following) -> None:
    """Without a cursor a sync reads everything, sets it, and counts nothing as missed."""
    synced = await fresh.run(SYNC)
    assert synced["status"] == "completed"
    assert await fresh.missed() == []
    assert (await fresh.state())["sync_cursor"] is not None
    assert await fresh.differences() == []


async def test_a_catch_up_moves_no_cursor(fresh: Following) -> None:
    """A sync that begins at a given time says nothing of what lies before, so there is no mark yet."""
    await fresh.run(SYNC, since=1_700_000_000_000)
    assert (await fresh.state())["workspace_cursor"] == {fresh.simulator.workspace.team_id: {}}


async def test_trouble_at_the_source_is_waited_out(database: Database, sql: Any, keyring: Keyring) -> None:
    """Errors, gateway pages and cut connections: every call is tried again, and the import is complete."""
    simulator = Simulator(seed=6, token=TOKEN)
    async with following(database, sql, keyring, simulator, imported=False) as at:
        simulator.faults.api_error_rate = simulator.faults.reset_rate = 0.03
        done = await at.run(IMPORT)
        simulator.faults.api_error_rate = simulator.faults.reset_rate = 0.0
        assert done["status"] == "completed"
        assert await at.differences() == []


async def test_an_import_says_why_it_waits(fresh: Following) -> None:
    """The job and its integration say why from the first wait on; once it goes on there is nothing to say."""
    fresh.simulator.faults.api_error_rate = 1.0
    job = await fresh.ask(IMPORT)
    running = asyncio.create_task(fresh.work(job))

    async def waits() -> bool:
        row = await jobs.find(fresh.database, job["id"])
        assert row is not None
        return bool(re.fullmatch(r".* answered 50\d .*; tried again in \d+ s", row["error"] or ""))

    await until(waits)
    state = await fresh.state()
    assert (state["import_status"], state["consecutive_failures"]) == ("running", 1)
    assert re.fullmatch(r"import: .* answered 50\d .*", state["last_error"])
    fresh.simulator.faults.api_error_rate = 0.0
    ended = await running
    assert (ended["status"], ended["error"]) == ("completed", None)
    assert (await fresh.state())["consecutive_failures"] == 0


async def test_a_selection_is_imported_and_nothing_else(fresh: Following) -> None:
    """Only what is in the list that was chosen; the rest is neither read nor taken for gone; the cursor stays."""
    done = await fresh.run(IMPORT, lists=[fresh.ids["folderless list"]])
    assert done["status"] == "completed"
    assert await fresh.alive("task", fresh.ids["task in folderless list"])
    assert await fresh.object("task", fresh.ids["task"]) is None
    assert (await fresh.state())["sync_cursor"] is None
    wrong = await fresh.run(IMPORT, lists=["1"])
    assert wrong["status"] == "failed"
    assert "no list 1" in wrong["error"]


async def test_what_happens_is_told(at: Following) -> None:
    """Every state of a job is an event, with the job as its data and never its lease."""
    rows = await at.sql.fetch("SELECT headers, body FROM kb.outbox ORDER BY id")
    told = [
        (orjson.loads(row["headers"])["cloudEvents_type"], orjson.loads(row["body"]))
        for row in rows
        if b"import." in row["headers"].encode()
    ]
    names = [name for name, _ in told if name != "import.progressed"]
    assert names == ["import.requested", "import.started", "import.completed"]
    assert told[-1][1]["status"] == "completed"
    assert told[-1][1]["id"] == str(UUID(told[-1][1]["id"]))
    assert not any("lease" in name for _, data in told for name in data)
