"""What users of other ClickUp connectors suffer from, one test each: ours must not fail that way.

The numbers are those of the study that the cases were collected in; 44, 46 and 47 are in
`tests/integrations/test_hook_doctor.py`, where registering hooks is proven, and 45 is in `test_upkeep.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from integrations.budget import Priority
from integrations.clickup import mapping
from integrations.clickup.client import ClickUp
from integrations.clickup.sieve import Sieve
from integrations.clickup.simulator.bulk import found
from integrations.clickup.simulator.server import Simulator
from integrations.errands import IMPORT, SWEEP, SYNC
from integrations.registry import providers
from integrations.sealing import Keyring
from schema.postgres import Database
from schema.records import Ref
from tests.consumers.following import TOKEN, Following, following
from tests.turns import Unmetered

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
async def at(database: Database, sql: Any, keyring: Keyring) -> AsyncIterator[Following]:
    """A workspace with one of everything, imported."""
    async with following(database, sql, keyring) as one:
        yield one


async def count(at: Following, type_: str) -> int:
    living = "SELECT count(*) FROM kb.objects WHERE external_type = $1 AND deleted_at IS NULL"
    return int(await at.sql.fetchval(living, type_))


def client(at: Following) -> ClickUp:
    return ClickUp(at.opener.http, url=at.opener.clickup_url, token=TOKEN, turns=Unmetered())


async def test_field_48_every_event_and_only_what_changed(at: Following) -> None:
    """activepieces#71: polling, or one trigger that fires for everything. Ours reads what changed and nothing else."""
    at.simulator.workspace.rename_task(at.ids["task"], "Renamed")
    before = sum(calls for (_, path, _), calls in at.simulator.calls.items() if path.endswith("/comment"))
    await at.run(SYNC)
    asked = sum(calls for (_, path, _), calls in at.simulator.calls.items() if path.endswith("/comment")) - before
    assert 1 <= asked <= 2 + len(at.simulator.workspace.tasks)
    row = await at.object("task", at.ids["task"])
    assert row is not None
    assert row["title"] == "Renamed"


async def test_field_49_tasks_folders_lists_and_comments(at: Following) -> None:
    """pipedream#3950, #12633, #5658: triggers for tasks only, or only for a workspace. Ours has every kind there is."""
    kinds = {row["external_type"] for row in await at.sql.fetch("SELECT DISTINCT external_type FROM kb.objects")}
    assert kinds == {"workspace", "space", "folder", "list", "task", "comment", "doc", "goal", "key_result"}


async def test_field_50_missed_deliveries_are_visible(at: Following) -> None:
    """Basecamp PR#45: missed deliveries are invisible. Ours are found, and they are a number."""
    at.simulator.workspace.rename_task(at.ids["task"], "Nobody heard")
    assert await at.missed() == []
    await at.run(SYNC)
    assert await at.missed() == [("task", at.ids["task"])]


async def test_field_51_more_than_100_tasks(database: Database, sql: Any, keyring: Keyring) -> None:
    """airbyte#36538: only the first 100 tasks. Ours has all of them, ties of more than a page in one moment too."""
    simulator = Simulator(seed=2, token=TOKEN)
    found(simulator.workspace, tasks=450, comments=0, docs=0, ties=150)
    async with following(database, sql, keyring, simulator) as at:
        assert await count(at, "task") == len(simulator.workspace.tasks)
        assert await at.differences() == []


async def test_field_52_folderless_lists(at: Following) -> None:
    """airbyte#86907: lists without a folder never sync. Ours do, with their tasks, below their space."""
    row = await at.object("list", at.ids["folderless list"])
    assert row is not None
    assert (row["external_parent_type"], row["external_parent_id"]) == ("space", at.ids["space"])
    assert await at.alive("task", at.ids["task in folderless list"])


async def test_field_53_closed_tasks(at: Following) -> None:
    """airbyte#24054: closed tasks are missing. Ours are there, with their status."""
    row = await at.object("task", at.ids["closed task"])
    assert row is not None
    assert (row["status"], row["deleted_at"]) == ("closed", None)


async def test_field_54_incremental_from_the_first_day(at: Following) -> None:
    """Airbyte PR#77122: incremental streams came late. Ours asks only for what changed since the cursor."""
    before = sum(at.simulator.calls.values())
    again = await at.run(SYNC)
    assert again["status"] == "completed"
    full = await at.run(IMPORT)
    assert again["calls"] < full["calls"]
    assert sum(at.simulator.calls.values()) - before == again["calls"] + full["calls"]


def test_field_55_a_provider_is_a_folder() -> None:
    """Airbyte PR#44180: a connector had to be rewritten for another framework. Ours is plain code behind one value."""
    provider = providers()["clickup"]
    assert all(callable(part) for part in (provider.look, provider.walk, provider.confirm, provider.tend))


async def test_field_56_one_malformed_object_aborts_nothing(at: Following) -> None:
    """Onyx PR#14862, PR#14870: one malformed task or comment ends the sync. Ours keeps it aside and goes on."""
    at.simulator.faults.malformed_ids.add(at.ids["task"])
    again = await at.run(SWEEP)
    assert again["status"] == "completed"
    assert await at.alive("task", at.ids["task"])
    assert await at.alive("task", at.ids["closed task"])
    sieve = Sieve()
    taken = [sieve.take("task", raw, mapping.task) for raw in ({"id": "1"}, {"name": "without an id"}, {"id": "2"})]
    assert taken == [True, False, True]
    assert [record.ref.id for record in sieve.records] == ["1", "2"]
    assert sieve.failures[0].raw == {"name": "without an id"}


async def test_field_57_docs_with_their_pages(at: Following) -> None:
    """Onyx PR#13404: no Docs. Ours have them as one Markdown document with nested pages under headings."""
    row = await at.object("doc", at.ids["doc"])
    assert row is not None
    assert (row["type"], row["title"]) == ("document", "Handbook")
    assert row["body"] == "# Start\n\nRead **this**\n\n## More\n\nand this"


async def test_field_58_429_is_waited_for(at: Following) -> None:
    """omni#11: others lack handling of 429. Ours waits until the source says it may go on, and then goes on."""
    at.simulator.faults.rate_limited_until = datetime.now(UTC) + timedelta(seconds=2)
    assert (await at.run(SYNC))["status"] == "completed"
    assert at.simulator.calls[("GET", "/v2/user", 429)] >= 1


async def test_field_59_forget_on_delete(at: Following) -> None:
    """cognee#4701, gnt#193: nothing is forgotten when it is deleted. Ours is, without a webhook too, comments too."""
    at.simulator.workspace.delete_task(at.ids["task"])
    await at.run(SWEEP)
    assert not await at.alive("task", at.ids["task"])
    assert not await at.alive("task", at.ids["subtask"])
    assert not await at.alive("comment", at.ids["comment"])


async def test_field_60_time_and_custom_fields(at: Following) -> None:
    """Posthog PR#102941: time and custom fields are the gaps. Ours are properties of the task, by name."""
    ws = at.simulator.workspace
    field = ws.add_field(at.ids["list"], "Severity", "drop_down", options=["low", "high"])
    ws.set_custom_field(at.ids["task"], field.id, field.options[1].id)
    await at.run(SYNC)
    row = await at.object("task", at.ids["task"])
    assert row is not None
    properties = orjson.loads(row["properties"])
    assert properties["custom_fields"] == {"Severity": "high"}
    assert properties["time_spent"] == 90_000


async def test_field_61_time_entries_of_any_day(at: Following) -> None:
    """tap-clickup#134, #151: time entries stop at 30 days. Ours are asked for between two moments, always."""
    team, now = at.simulator.workspace.team_id, datetime.now(UTC)
    entries = await client(at).time_entries(team, start=now - timedelta(days=400), end=now + timedelta(days=1))
    assert len(entries) == 1
    assert await client(at).time_entries(team, start=now - timedelta(days=400), end=now - timedelta(days=40)) == []


async def test_field_62_no_half_sync_without_an_error(at: Following) -> None:
    """dreamcontext#66: a failure in mid-run leaves half a sync and no error. Ours says so, and the cursor stays."""
    before = await at.state()
    at.simulator.workspace.rename_task(at.ids["task"], "Unread")
    at.simulator.workspace.disable_member(at.simulator.workspace.owner.id)
    ended = await at.run(SYNC)
    assert ended["status"] == "failed"
    after = await at.state()
    assert "TokenRefused" in after["last_error"]
    assert (after["sync_cursor"], after["consecutive_failures"]) == (before["sync_cursor"], 1)
    at.simulator.workspace.enable_member(at.simulator.workspace.owner.id)
    assert (await at.run(SYNC))["status"] == "completed"
    assert await at.differences() == []


async def test_field_63_large_workspaces_stay_inside_the_limit(database: Database, sql: Any, keyring: Keyring) -> None:
    """click-up-x-obsidian#23: 429 on large workspaces. Ours paces itself as the headers say, and is not refused."""
    simulator = Simulator(seed=6, token=TOKEN, limit_per_minute=40, window_seconds=5)
    async with following(database, sql, keyring, simulator) as at:
        assert await at.differences() == []
    assert simulator.meter.refused == 0


async def test_field_64_any_workspace(database: Database, sql: Any, keyring: Keyring) -> None:
    """NangoHQ PR#497: a team id in the code. Ours is a setting, and a wrong one is a clear failure."""
    async with following(database, sql, keyring, imported=False) as at:
        row = await at.row()
        sealed = keyring.seal(
            f'{{"token":"{TOKEN}","workspace_id":"1"}}'.encode(), row=f"integrations/{row['id']}/settings"
        )
        await sql.execute("UPDATE kb.integrations SET settings_encrypted = $1", sealed)
        failed = await at.run(IMPORT)
        assert failed["status"] == "failed"
        assert "Gone" in failed["error"]


async def test_field_65_a_listing_shows_what_a_read_shows(at: Following) -> None:
    """port-labs PR#777: an integration that was never finished. Ours proves itself: listing and read agree on all."""
    access = at.opener.open(await at.row(), Priority.SYNC)
    refs = [Ref("task", at.ids["task"]), Ref("list", at.ids["list"]), Ref("folder", at.ids["folder"])]
    look = await providers()["clickup"].confirm([*refs, Ref("space", at.ids["space"])], access)
    for record, _ in look.records:
        row = await at.object(*record.ref)
        assert row is not None
        assert row["content_hash"].hex() == record.content_hash(), record.ref
    assert len(look.records) == 4
