"""Whatever happens to deliveries and hooks: one healthy hook, and a knowledge base equal to the source.

The whole service in one process (the embedded bus, the same program), a simulated ClickUp over sockets, and the
commands that an operator has.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.story import next_step, populate
from tests.conftest import until
from tests.stack import Stack

TOKEN = "pk_48213377_HEALING"
SETTLE_SECONDS = 60.0

pytestmark = pytest.mark.timeout(240)


@dataclass
class Followed:
    """A workspace that the service follows."""

    stack: Stack
    simulator: Simulator
    sql: Any
    id: str
    chance: random.Random

    async def live(self, steps: int) -> None:
        """Edits, delivered as ClickUp would; until all of what arrives is applied."""
        for _ in range(steps):
            await self.simulator.apply(next_step(self.simulator.workspace, self.chance))
        await self.simulator.deliveries.drain()
        await self.settled()

    async def create(self, name: str) -> None:
        """One more task."""
        workspace = self.simulator.workspace
        await self.simulator.apply(workspace.create_task(next(iter(workspace.lists)), name))

    async def settled(self) -> None:
        """Wait until nothing is on its way, and no job is under way."""
        waiting = """
            SELECT (SELECT count(*) FROM kb.queue_messages WHERE queue NOT LIKE '%.dead')
                 + (SELECT count(*) FROM kb.outbox)
                 + (SELECT count(*) FROM kb.jobs WHERE status IN ('queued', 'running'))"""

        async def nothing() -> bool:
            return bool(await self.sql.fetchval(waiting) == 0)

        await until(nothing, within=SETTLE_SECONDS)

    async def differences(self) -> list[dict[str, Any]]:
        """What `sync --verify` finds."""
        found = await self.stack.attempt("sync", self.id, "--verify", "--json")
        told: list[dict[str, Any]] = found.json["differences"]
        assert found.code == int(bool(told)), found.complaints
        return told

    async def missed(self) -> int:
        status = await self.stack.json("webhook", "status", self.id)
        return int(status["missed"])

    @property
    def hooks(self) -> list[Any]:
        return list(self.simulator.workspace.webhooks.values())

    async def healed(self, done: Callable[[], bool]) -> None:
        """Wait until the doctor has done its work and the catch-up is over: one hook, active, nothing differs."""
        await until(lambda: done() and len(self.hooks) == 1 and self.hooks[0].status == "active", within=SETTLE_SECONDS)
        caught_up = "SELECT count(*) FROM kb.jobs WHERE kind = 'sync' AND reason LIKE 'blind window%'"

        async def asked() -> bool:
            return bool(await self.sql.fetchval(caught_up) >= 1)

        await until(asked, within=SETTLE_SECONDS)
        await self.settled()
        status = await self.stack.json("webhook", "status", self.id)
        assert (status["status"], status["problem"]) == ("active", None)


@asynccontextmanager
async def following(tmp_path: Path, database_url: str, sql: Any) -> AsyncIterator[Followed]:
    """The service, a workspace, its hook registered and everything imported by command."""
    simulator = Simulator(seed=21, token=TOKEN, backoff=(0.1,))
    await simulator.apply(populate(simulator.workspace))
    async with simulator.serving() as api:
        stack = Stack(tmp_path, amqp_url="", database_url=database_url, clickup_url=api)
        stack.environment |= {"WEBHOOK_CHECK_SECONDS": "1", "PUBLIC_URL": stack.url}
        try:
            stack.start("up", "--data-dir", str(tmp_path / "data"))
            await stack.ready()
            token = tmp_path / "token"
            token.write_text(TOKEN)
            made = await stack.json(
                "integration", "create", "--org", "acme", "--project", str(uuid4()), "--enable",
                "--workspace", simulator.workspace.team_id, "--token-file", str(token),
            )  # fmt: skip
            await stack.run("webhook", "register", made["id"])
            imported = await stack.json("import", made["id"])
            assert imported["status"] == "completed"
            yield Followed(stack, simulator, sql, made["id"], random.Random(8))  # noqa: S311  a story
        finally:
            await stack.end()
            await simulator.close(grace=1)


async def test_dropped_deliveries_are_healed_and_counted(tmp_path: Path, database_url: str, sql: Any) -> None:
    """A tenth of the deliveries never comes: syncs heal every difference, and the gap is as large as they were."""
    async with following(tmp_path, database_url, sql) as at:
        assert await at.differences() == []
        at.simulator.faults.drop_rate = 0.1
        await at.live(200)
        at.simulator.faults.drop_rate = 0.0
        assert at.simulator.deliveries.outcomes["dropped"] > 10
        await at.settled()
        lost = await at.differences()
        assert lost
        before = await at.missed()
        await at.stack.run("sync", at.id)
        await at.stack.run("sync", at.id, "--sweep")
        assert await at.differences() == []
        assert await at.missed() - before == len(lost)


async def test_a_suspended_hook_is_revived(tmp_path: Path, database_url: str, sql: Any) -> None:
    """Suspended for a while: set active again, and what was lost meanwhile is caught up with."""
    async with following(tmp_path, database_url, sql) as at:
        hook = at.hooks[0]
        at.simulator.workspace.suspend_webhook(hook.id)
        await at.create("Unheard")
        await at.healed(lambda: not hook.suspended)
        assert await at.differences() == []
        assert at.hooks[0].id == hook.id


async def test_a_deleted_hook_is_made_anew(tmp_path: Path, database_url: str, sql: Any) -> None:
    """Deleted by hand: made anew with its new secret stored, so that deliveries count again; nothing stays lost."""
    async with following(tmp_path, database_url, sql) as at:
        gone = at.hooks[0].id
        at.simulator.workspace.delete_webhook(gone)
        await at.create("Unheard")
        await at.healed(lambda: bool(at.hooks) and at.hooks[0].id != gone)
        assert await at.differences() == []
        await at.live(10)
        assert at.simulator.deliveries.outcomes["lost"] == 0


async def test_a_duplicate_hook_is_removed(tmp_path: Path, database_url: str, sql: Any) -> None:
    """A second hook for the same endpoint: removed again, and what both delivered has one effect."""
    async with following(tmp_path, database_url, sql) as at:
        first = at.hooks[0].id
        second = at.simulator.workspace.duplicate_webhook(first)
        await at.live(10)
        await until(lambda: [hook.id for hook in at.hooks] == [first], within=SETTLE_SECONDS)
        await at.live(10)
        await at.settled()
        assert second.id not in at.simulator.workspace.webhooks
        assert await at.differences() == []


async def test_a_changed_secret_is_noticed(tmp_path: Path, database_url: str, sql: Any) -> None:
    """ClickUp signs with another secret: stored as soon as the list shows it, and the blind window is caught up."""
    async with following(tmp_path, database_url, sql) as at:
        hook = at.hooks[0]
        at.simulator.workspace.change_secret(hook.id)
        await at.create("Doubted")
        stored = "SELECT count(*) FROM kb.webhook_secrets WHERE webhook_id = $1"

        async def noticed() -> bool:
            return bool(await at.sql.fetchval(stored, hook.id) == 2)

        await until(noticed, within=SETTLE_SECONDS)
        await at.live(10)  # what is delivered now is believed again, and that makes the hook active
        await at.healed(lambda: True)
        assert await at.differences() == []
        secrets = await at.sql.fetch("SELECT expires_at FROM kb.webhook_secrets WHERE webhook_id = $1", hook.id)
        assert sorted(row["expires_at"] is None for row in secrets) == [False, True]
