"""The gallery as it is run: a process beside ingest and every consumer, on a real broker, behind a simulated source."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import httpx

from cli.token_commands import new_token
from gallery.identity import SCOPES
from integrations.clickup.simulator.server import Simulator
from schema import tokens
from schema.postgres import Database
from tests.conftest import new_database, until
from tests.house import now
from tests.services.server import free_port
from tests.stack import Stack

CLICKUP_TOKEN = "pk_48213377_PLANTED0TOKEN0OF0CLICKUP"
ORG = "acme"


@dataclass(slots=True, kw_only=True)
class Real:
    """What runs.

    Attributes:
        client: somebody who may do everything.
        token: their API token.
    """

    stack: Stack
    simulator: Simulator
    database: Database
    client: httpx.AsyncClient
    token: str

    @property
    def url(self) -> str:
        """Where the gallery is."""
        return f"http://127.0.0.1:{self.stack.environment['GALLERY_PORT']}"

    async def connect(self, project: UUID | None = None, *, hook: tuple[str, str] | None = None) -> str:
        """Connect an integration over the API; its id."""
        settings = {"api_token": CLICKUP_TOKEN, "workspace_id": self.simulator.workspace.team_id}
        answer = await self.client.post(
            "/api/v1/integrations",
            json={
                "name": "clickup",
                "org_id": ORG,
                "project_id": str(project or uuid4()),
                "enabled": True,
                "settings": settings,
                "webhook": {"id": hook[0], "secret": hook[1]} if hook else None,
            },
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


@asynccontextmanager
async def running(folder: Path, *, template: str, amqp_url: str) -> AsyncIterator[Real]:
    """Everything, as processes, until the end."""
    simulator = Simulator(seed=5, token=CLICKUP_TOKEN, backoff=(0.2, 0.5, 1, 2), limit_per_minute=10_000)
    async with new_database(template=template) as url, simulator.serving() as clickup:
        stack = Stack(folder, amqp_url=amqp_url, database_url=url, clickup_url=clickup)
        stack.environment |= {"PUBLIC_URL": stack.url, "METRICS_PORT": str(free_port())}
        database = await Database(url, program="test").open()
        try:
            stack.start("ingest")
            stack.start("consume", "knowledge", "sync-state", "journal", "imports", "upkeep")
            stack.start("gallery")
            await stack.ready()
            new, token = new_token(random=os.urandom(tokens.OCTETS), now=now(), name="test", scopes=list(SCOPES))
            await tokens.create(database, new)
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{stack.environment['GALLERY_PORT']}",
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            ) as client:
                await until(lambda: _serves(client), within=30)
                yield Real(stack=stack, simulator=simulator, database=database, client=client, token=token)
        finally:
            await stack.end()
            await database.close()
            await simulator.close(grace=1)


async def _serves(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.HTTPError:
        return False
