"""The demo: a simulated ClickUp workspace, connected like a real one, whose people never stop working."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from cli.integration_commands import new_integration
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.story import populate, tell
from integrations.sealing import Keyring
from schema import integrations
from schema.postgres import Database

ORG: Final = "demo"
PROJECT: Final = UUID("d3300000-0000-4000-8000-000000000000")
TOKEN: Final = "pk_demo_of_the_simulated_workspace"  # noqa: S105  good for the simulator and nothing else


async def forget(database: Database) -> None:
    """A former demo and its objects go, before anybody looks after its hook in the new workspace.

    So does what waited for it on the embedded bus, which would become dead letters of nobody.
    """
    for row in await integrations.find(database):
        if row["org_id"] == ORG and row["project_id"] == PROJECT:
            await integrations.delete(database, row["id"])
            await database.execute("queue_forget", str(row["id"]))


async def connect(database: Database, keyring: Keyring, simulator: Simulator, *, ingest_url: str) -> UUID:
    """Connect the simulated workspace: a webhook there, an integration here."""
    hook = simulator.register_webhook(f"{ingest_url}/webhooks/clickup")
    new, secrets = new_integration(
        keyring,
        name="clickup",
        org=ORG,
        project=PROJECT,
        settings={"token": TOKEN, "workspace_id": simulator.workspace.team_id},
        hook=(hook.id, hook.secret),
        enabled=True,
        display_name="ClickUp (simulated)",
    )
    await integrations.create(database, new, secrets)
    return new.id


@asynccontextmanager
async def living(
    simulator: Simulator,
    *,
    rate: float,
    seed: int,
    changes: int | None = None,
    rested: Callable[[], None] = lambda: None,
) -> AsyncIterator[None]:
    """While inside, the workspace is founded and then lives: creations, edits, comments, moves, deletions.

    After so many `changes` its people rest; `rested` is told once all of them are delivered, or given up.
    """
    stop = asyncio.Event()

    async def live() -> None:
        await simulator.apply(populate(simulator.workspace))
        chance = random.Random(seed)  # noqa: S311  a story, not a secret
        await tell(
            simulator.workspace, simulator.apply, rate_per_second=rate, stop=stop, chance=chance, changes=changes
        )
        await simulator.deliveries.drain()
        rested()

    life = asyncio.create_task(live(), name="demo")
    try:
        yield
    finally:
        stop.set()
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        await simulator.close(grace=1.0)
