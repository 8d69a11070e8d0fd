"""The gallery's application in a test: on a real database and the bus in it, behind a source, asked over ASGI."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from cli.gallery_program import gallery_app
from cli.settings import Secret, Settings
from cli.token_commands import new_token
from gallery.identity import SCOPES
from schema import tokens
from schema.postgres import Database
from tests.conftest import KEY
from tests.house import now

API = "/api/v1"


@dataclass(slots=True, kw_only=True)
class Gallery:
    """A served gallery."""

    app: Any
    database: Database

    async def token(self, *scopes: str, org: str | None = None, project: UUID | None = None) -> str:
        """A new API token with these scopes, or with all."""
        wanted = list(scopes or SCOPES)
        new, text = new_token(
            random=os.urandom(tokens.OCTETS), now=now(), name="test", scopes=wanted, org=org, project=project
        )
        await tokens.create(self.database, new)
        return text

    def client(self, token: str | None = None, *, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """Somebody who asks."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://gallery", headers=headers)

    def operations(self) -> Sequence[tuple[str, str, dict[str, Any]]]:
        """Every method and path of the API, with its description."""
        return [
            (method.upper(), path, operation)
            for path, methods in self.app.openapi()["paths"].items()
            for method, operation in methods.items()
        ]


@asynccontextmanager
async def serving(database: Database, database_url: str, clickup_url: str, **more: Any) -> AsyncIterator[Gallery]:
    """The gallery over a database, with the bus in it; `more` settings."""
    settings = Settings(
        database_url=Secret(database_url),
        amqp_url=None,
        integration_encryption_key=Secret(KEY),
        clickup_api_url=Secret(clickup_url),
        public_url=Secret("https://ingest.example.com"),
        **more,
    )
    app = gallery_app(settings)
    async with app.router.lifespan_context(app):
        yield Gallery(app=app, database=database)
