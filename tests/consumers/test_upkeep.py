"""Looking after hooks: by one process at a time, with a line for everything done, and no secret in any of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from consumers.hooks import Keeper, Wish
from integrations.errands import SYNC
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.consumers.following import Following, following

CREATED = ("POST", "/v2/team/{team_id}/webhook", 200)
URL = "https://ingest.example.com"


@pytest.fixture
async def at(database: Database, sql: Any, keyring: Keyring) -> AsyncIterator[Following]:
    """A followed workspace whose hook is gone."""
    async with following(database, sql, keyring) as one:
        yield one


def keeper(at: Following, keyring: Keyring) -> Keeper:
    return Keeper(database=at.database, opener=at.opener, keyring=keyring, public_url=URL, actor="upkeep")


async def round_(one: Keeper) -> None:
    """What `upkeep` does when it looks."""
    await one.database.execute("hook_know", None)
    while (taken := await one.due()) is not None:
        await one.tend(taken, Wish())


async def test_many_keepers_make_one_hook(at: Following, keyring: Keyring, sql: Any) -> None:
    """Six look at the same moment: one hook is made, its secret is stored sealed, one catch-up is asked for."""
    await asyncio.gather(*(round_(keeper(at, keyring)) for _ in range(6)))
    await sql.execute("UPDATE kb.webhooks SET due_at = now()")
    await asyncio.gather(*(round_(keeper(at, keyring)) for _ in range(6)))
    (hook,) = at.simulator.workspace.webhooks.values()
    assert at.simulator.calls[CREATED] == 1
    assert hook.endpoint == f"{URL}/webhooks/clickup/{at.connected.id}"
    row = await sql.fetchrow("SELECT * FROM kb.webhook_secrets WHERE webhook_id = $1", hook.id)
    assert keyring.open(row["secret_sealed"], row=f"webhook_secrets/{row['id']}").decode() == hook.secret
    asked = await sql.fetch("SELECT reason FROM kb.jobs WHERE reason LIKE 'blind window%'")
    assert len(asked) == 1
    lines = await sql.fetch("SELECT actor, action, details FROM kb.audit_log ORDER BY id")
    assert {line["action"] for line in lines} == {"webhook_registered", "webhook_catch_up"}
    assert not any(hook.secret in line["details"] for line in lines)
    assert await sql.fetchval("SELECT count(*) FROM kb.webhook_health") == 1


async def test_who_died_is_replaced(at: Following, keyring: Keyring, sql: Any) -> None:
    """One that took the hook and is not heard of again is waited for, and then somebody else looks after it."""
    one = keeper(at, keyring)
    await one.database.execute("hook_know", None)
    assert await one.due() is not None
    assert await one.due() is None
    await sql.execute("UPDATE kb.webhooks SET lease_until = now() - interval '1 second'")
    taken = await keeper(at, keyring).due()
    assert taken is not None
    tended = await one.tend(taken, Wish())
    assert [deed.action for deed in tended.deeds] == ["registered"]


async def test_a_disabled_integration_is_left_alone(at: Following, keyring: Keyring) -> None:
    """Nothing is asked of ClickUp for it."""
    await at.database.execute("integration_enable", at.connected.id, False)
    before = sum(at.simulator.calls.values())
    await round_(keeper(at, keyring))
    assert sum(at.simulator.calls.values()) == before


async def test_a_removed_hook_stays_removed(at: Following, keyring: Keyring) -> None:
    """After `webhook delete` there is none, and none is made until somebody registers one."""
    one = keeper(at, keyring)
    await round_(one)
    await one.tend(await one.take(at.connected.id), Wish(wanted=False))
    await at.sql.execute("UPDATE kb.webhooks SET due_at = now()")
    await round_(one)
    assert at.simulator.workspace.webhooks == {}
    await one.tend(await one.take(at.connected.id), Wish(wanted=True))
    assert len(at.simulator.workspace.webhooks) == 1


async def test_a_refused_token_is_told_once(at: Following, keyring: Keyring, sql: Any) -> None:
    """What cannot be mended is said where operators look, and not again and again."""
    at.simulator.workspace.disable_member(at.simulator.workspace.owner.id)
    for _ in range(3):
        await round_(keeper(at, keyring))
        await sql.execute("UPDATE kb.webhooks SET due_at = now()")
    row = await sql.fetchrow("SELECT status, problem FROM kb.webhooks")
    assert row["status"] == "unknown"
    assert "connect" in row["problem"]
    assert await sql.fetchval("SELECT count(*) FROM kb.audit_log WHERE action = 'webhook_problem'") == 1


async def test_field_45_a_hook_that_looks_active_is_not_believed(at: Following, keyring: Keyring) -> None:
    """n8n#35302: a trigger looks active and drops calls for days. Ours is synced all the same, and the gap is shown."""
    await round_(keeper(at, keyring))
    for job in await at.sql.fetch("SELECT * FROM kb.jobs WHERE status = 'queued'"):
        await at.work(job)
    at.simulator.faults.drop_rate = 1.0
    await at.simulator.apply(at.simulator.workspace.rename_task(at.ids["task"], "Dropped without a word"))
    (hook,) = at.simulator.workspace.webhooks.values()
    assert (hook.status, hook.fail_count) == ("active", 0)
    due = await at.database.fetch("jobs_due", timedelta(0), timedelta(days=1))
    assert [(row["integration_id"], row["kind"]) for row in due] == [(at.connected.id, SYNC)]
    assert (await at.run(due[0]["kind"]))["status"] == "completed"
    shown = await at.database.fetchrow("hook_show", at.connected.id)
    assert shown is not None
    assert shown["missed_today"] == 1
    assert hook.status == "active"
    assert await at.differences() == []
