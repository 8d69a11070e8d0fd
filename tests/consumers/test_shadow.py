"""Rebuilding beside the knowledge base: complete, resumable, honest about what differs, and never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import asyncpg
import orjson
import pytest

from consumers import shadow as rebuilding
from consumers.shadow import Build, Diff
from integrations.budget import Priority
from integrations.clickup import mapping
from integrations.clickup.simulator.server import Simulator
from integrations.registry import Impossible, providers
from integrations.sealing import Keyring
from schema import shadow
from schema.postgres import Database, Row
from schema.provenance import why
from schema.records import Record, Ref
from schema.shadow import Discarded
from tests.conftest import until
from tests.consumers.following import TOKEN, Following, following, hidden
from tests.house import house, wrapped

pytestmark = pytest.mark.timeout(90)

SNAPSHOT = "SELECT * FROM kb.objects ORDER BY id"


@pytest.fixture
async def at(sql: Any, keyring: Keyring, database_url: str, database: Database) -> AsyncIterator[Following]:
    """A workspace with one of everything, imported; everything is done under the role of imports."""
    lowly = await Database(database_url, program="test", role="kb_imports", max_size=4).open()
    async with following(database, sql, keyring) as one:
        yield replace(one, database=lowly, opener=replace(one.opener, database=lowly))
    await lowly.close()


def builder(at: Following, row: Row, steps: list[str] | None = None) -> Build:
    return Build(
        database=at.database,
        provider=providers()["clickup"],
        access=at.opener.open(row, Priority.IMPORT),
        integration_id=at.connected.id,
        progress=lambda phase, *_: (steps if steps is not None else []).append(phase),
    )


async def build(at: Following) -> list[str]:
    """Build a shadow, or go on; the phases that were gone through."""
    steps: list[str] = []
    await builder(at, await at.row(), steps).run()
    return steps


async def diff(at: Following) -> Diff:
    return await rebuilding.diff(at.database, at.connected.id)


async def promote(at: Following) -> Row:
    row = await shadow.find(at.database, at.connected.id)
    return await rebuilding.promote(at.database, await at.row(), row, by="nadia", progress=lambda *_: None)


async def events(at: Following) -> list[tuple[str, str]]:
    """Type and subject of what waits in the outbox; it is emptied."""
    rows = await at.sql.fetch("WITH taken AS (DELETE FROM kb.outbox RETURNING *) SELECT * FROM taken ORDER BY id")
    told = [orjson.loads(row["headers"]) for row in rows]
    return [(one["cloudEvents_type"], one["cloudEvents_subject"]) for one in told]


def shouting(raw: Any) -> Record:
    """A mapping with two faults."""
    record = TASK(raw)
    return replace(record, title=(record.title or "").upper(), properties={**record.properties, "points": 3})


TASK = mapping.task


async def test_a_shadow_of_what_is_right_changes_nothing(at: Following) -> None:
    """All that lives is built anew and nothing differs; promoting writes nothing, not even a time; nothing is told."""
    before = await at.sql.fetch(SNAPSHOT)
    await events(at)
    phases = await build(at)
    assert list(dict.fromkeys(phases)) == ["structure", "tasks", "comments", "docs", "goals", "done"]
    found = await diff(at)
    assert (found.differences, found.unread) == ([], [])
    assert found.compared.total() == len([row for row in before if row["deleted_at"] is None])
    job = await promote(at)
    assert (job["kind"], job["status"], job["breakdown"], job["requested_by"]) == ("rebuild", "completed", {}, "nadia")
    assert await at.sql.fetch(SNAPSHOT) == before
    assert await events(at) == [("import.completed", f"job/{job['id']}")]


async def test_an_interrupted_build_goes_on_where_it_stood(at: Following) -> None:
    """Killed again and again it ends like one that was not, and asks little twice."""
    before = sum(at.simulator.calls.values())
    await build(at)
    whole = sum(at.simulator.calls.values()) - before
    kept = "SELECT id, record, because FROM kb_shadow.objects ORDER BY id"
    clean = await at.sql.fetch(kept)
    at.simulator.faults.api_latency = 0.1
    before, kills, row = sum(at.simulator.calls.values()), 0, await at.row()
    while not ((found := await shadow.find(at.database, at.connected.id)) and found["finished_at"] and kills):
        running = asyncio.create_task(builder(at, row).run())
        until_then = sum(at.simulator.calls.values()) + 13
        await until(lambda: running.done() or sum(at.simulator.calls.values()) > until_then)  # noqa: B023
        kills += not running.done()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert kills >= 2, whole
    assert sum(at.simulator.calls.values()) - before <= whole + 20 * kills
    assert await at.sql.fetch(kept) == clean
    assert (await diff(at)).differences == []


async def test_a_broken_mapping_shows_in_the_diff(at: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shadow by a mapping with faults differs in just those fields of just those objects; nothing is changed."""
    before = await at.sql.fetch(SNAPSHOT)
    monkeypatch.setattr(mapping, "task", shouting)
    await build(at)
    found = await diff(at)
    tasks = await at.sql.fetchval("SELECT count(*) FROM kb.objects WHERE external_type = 'task'")
    assert len(found.differences) == tasks > 5
    assert {(one.ref.type, one.what, one.fields) for one in found.differences} == {
        ("task", "different", ("title", "properties.points"))
    }
    assert await at.sql.fetch(SNAPSHOT) == before


async def test_promoting_a_mended_mapping_repairs_the_rows(
    at: Following, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that a mapping with faults wrote: shown, repaired once, told once, and each says that the rebuild did it."""
    right = {row["id"]: row["content_hash"] for row in await at.sql.fetch(SNAPSHOT)}
    monkeypatch.setattr(mapping, "task", shouting)
    at.simulator.workspace.rename_task(at.ids["task"], "Heard by nobody")
    await build(at)
    await promote(at)
    assert (await at.object("task", at.ids["subtask"]))["title"] == "SUB"  # type: ignore[index]
    monkeypatch.undo()
    await events(at)
    await build(at)
    wrong = {one.ref for one in (await diff(at)).differences}
    assert Ref("task", at.ids["task"]) in wrong
    job = await promote(at)
    assert job["breakdown"] == {"task": {"imported": len(wrong)}}
    told = await events(at)
    assert sorted(told[:-1]) == sorted(("knowledge.task.updated", f"task/{ref.id}") for ref in wrong)
    assert (await diff(at)).differences == []
    assert await at.differences() == []
    rows = await at.sql.fetch(SNAPSHOT)
    renamed = Ref("task", at.ids["task"]).object_id(at.connected.id)
    assert {row["id"] for row in rows if row["content_hash"] != right[row["id"]]} == {renamed}
    (chain,) = await why(database, f"task/{at.ids['subtask']}")
    assert chain.job is not None
    assert (chain.job["id"], chain.job["kind"], chain.event) == (job["id"], "rebuild", None)
    again = await promote(at)
    assert again["breakdown"] == job["breakdown"]
    assert await at.sql.fetch(SNAPSHOT) == rows


async def test_what_is_missing_comes_and_what_is_gone_goes(at: Following) -> None:
    """A row that was lost, a row of what is gone, a thing that only the journal knows: each is found and put right."""
    ws = at.simulator.workspace
    await at.sql.execute("DELETE FROM kb.objects WHERE external_id = $1", at.ids["comment"])
    heard = ws.create_task(at.ids["list"], "Heard and lost")[0]["task_id"]
    ws.delete_task(at.ids["closed task"])
    ws.delete_comment(at.ids["reply"])
    ws.delete_doc(at.ids["doc"])
    ws.delete_key_result(at.ids["goal"], at.ids["key result"])
    only_told = {"webhook_id": at.connected.webhook_id, "event": "taskUpdated", "task_id": "868nowhere"}
    (envelope,) = wrapped(at.connected, only_told)
    await at.sql.execute(
        "INSERT INTO kb.journal (received_at, event_id, integration_id, type, subject, headers, body)"
        " VALUES ($1, $2, $3, $4, $5, '{}', $6)",
        envelope.time, envelope.id, at.connected.id, envelope.type, envelope.subject, envelope.data,
    )  # fmt: skip
    assert "single reads" in await build(at)
    found = {(one.ref.type, one.ref.id, one.what) for one in (await diff(at)).differences}
    assert found == {
        ("comment", at.ids["comment"], "missing"),
        ("task", heard, "missing"),
        ("task", at.ids["closed task"], "extra"),
        ("task", at.ids["task"], "different"),  # it depended on that one
        ("comment", at.ids["reply"], "extra"),
        ("doc", at.ids["doc"], "extra"),
        ("key_result", at.ids["key result"], "extra"),
    }
    kept = await at.sql.fetchrow("SELECT because FROM kb_shadow.objects WHERE external_id = '868nowhere'")
    assert kept["because"] == "gone"
    await promote(at)
    assert (await diff(at)).differences == []
    assert await at.differences() == []
    assert await at.object("task", "868nowhere") is None


async def test_what_changes_meanwhile_stays(at: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed, deleted and created while the shadow is built and after: promoting an older look takes nothing back."""
    ws = at.simulator.workspace
    monkeypatch.setattr(mapping, "task", shouting)
    await build(at)
    monkeypatch.undo()
    ws.rename_task(at.ids["task"], "Renamed meanwhile")
    ws.rename_list(at.ids["list"], "Another list name")
    ws.delete_task(at.ids["closed task"])
    new = ws.create_task(at.ids["list"], "New meanwhile")[0]["task_id"]
    await at.run("sweep")
    before = {row["external_id"]: row for row in await at.sql.fetch(SNAPSHOT)}
    found = {one.ref.id for one in (await diff(at)).differences}
    assert not found & {at.ids["task"], at.ids["list"], at.ids["closed task"], new}
    assert at.ids["subtask"] in found
    await promote(at)
    after = {row["external_id"]: row for row in await at.sql.fetch(SNAPSHOT)}
    for id_ in (at.ids["task"], at.ids["list"], at.ids["closed task"], new):
        assert after[id_] == before[id_]
    assert after[at.ids["subtask"]]["title"] == "SUB"


async def test_a_change_between_looking_and_writing_stays(at: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fence decides, not what we read before the transaction: a newer row that `judge` did not see yet stays."""
    monkeypatch.setattr(mapping, "task", shouting)
    await build(at)
    monkeypatch.undo()
    pages = [page async for page in rebuilding.differing(at.database, at.connected.id) if page]
    at.simulator.workspace.rename_task(at.ids["task"], "Just now")
    await at.run("sync")

    async def stale(_database: Database, _id: Any) -> AsyncIterator[Any]:
        for page in pages:
            yield page

    monkeypatch.setattr(rebuilding, "differing", stale)
    await promote(at)
    assert (await at.object("task", at.ids["task"]))["title"] == "Just now"  # type: ignore[index]
    assert (await at.object("task", at.ids["subtask"]))["title"] == "SUB"  # type: ignore[index]


async def test_a_discarded_shadow_is_gone(at: Following) -> None:
    """Nothing is left of it; whoever still builds or promotes it is told; deleting the integration takes it along."""
    await build(at)
    finished = await shadow.find(at.database, at.connected.id)
    assert await shadow.discard(at.database, at.connected.id)
    assert not await shadow.discard(at.database, at.connected.id)
    assert await at.sql.fetchval("SELECT count(*) FROM kb_shadow.objects") == 0
    with pytest.raises(Discarded):
        await rebuilding.promote(at.database, await at.row(), finished, by="nadia", progress=lambda *_: None)
    at.simulator.faults.api_latency = 0.03
    running = asyncio.create_task(build(at))

    async def begun() -> bool:
        return bool(await at.sql.fetchval("SELECT count(*) FROM kb_shadow.objects"))

    await until(begun)
    await shadow.discard(at.database, at.connected.id)
    with pytest.raises(Discarded):
        await running
    at.simulator.faults.api_latency = 0.0
    await build(at)
    await at.sql.execute("DELETE FROM kb.integrations WHERE id = $1", at.connected.id)
    assert await at.sql.fetchval("SELECT count(*) FROM kb_shadow.builds") == 0
    with pytest.raises(Discarded):
        await shadow.begin(at.database, at.connected.id)


async def test_a_source_that_refuses_proves_nothing(at: Following) -> None:
    """A token that is refused, or sees nothing any more, ends the build; there is nothing to promote."""
    at.simulator.faults.gone_ids.update(at.simulator.workspace.spaces)
    with pytest.raises(Impossible, match="sees no space"):
        await build(at)
    found = await shadow.find(at.database, at.connected.id)
    assert found is not None
    assert found["finished_at"] is None
    with pytest.raises(Discarded):
        await promote(at)


async def test_only_who_may_write_objects_may_rebuild(at: Following) -> None:
    """The roles of the other programs cannot even see a shadow."""
    await build(at)
    for role in ("kb_ingest", "kb_knowledge", "kb_sync_state", "kb_journal", "kb_upkeep"):
        async with at.sql.transaction():
            await at.sql.execute(f"SET LOCAL ROLE {role}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with at.sql.transaction():
                    await at.sql.fetch("SELECT FROM kb_shadow.objects")


async def test_a_delivery_during_the_build_is_not_overwritten(database: Database, sql: Any, keyring: Keyring) -> None:
    """Into an empty knowledge base, while webhooks tell of a change and a deletion of what was read already."""
    simulator = Simulator(seed=6, token=TOKEN)
    ids, ws = hidden(simulator), simulator.workspace
    async with (
        simulator.serving() as url,
        house(database, sql, keyring, url, token=TOKEN, workspace_id=ws.team_id) as at,
        at.consuming(),
    ):
        here = Following(simulator, database, sql, at.opener, at.connected, ids)
        steps: list[str] = []
        simulator.faults.api_latency = 0.1
        running = asyncio.create_task(builder(here, await here.row(), steps).run())
        await until(lambda: "comments" in steps)
        await at.deliver(*ws.rename_task(ids["task"], "Renamed meanwhile"), *ws.delete_task(ids["closed task"]))
        assert not running.done()
        await at.idle()
        heard = await at.object("task", ids["task"])
        assert heard["title"] == "Renamed meanwhile"
        simulator.faults.api_latency = 0.0
        await running
        kept = "SELECT record FROM kb_shadow.objects WHERE external_id = $1"
        assert shadow.load(await sql.fetchval(kept, ids["task"])).title == "Top"
        await promote(here)
        await at.idle_but("kb.imports")  # where the job's own event waits
        assert await at.object("task", ids["task"]) == heard
        assert (await at.object("task", ids["closed task"]))["deleted_because"] == "deleted"
        assert (await at.object("task", ids["subtask"]))["title"] == "Sub"
        assert await here.differences() == []
        assert (await diff(here)).differences == []
