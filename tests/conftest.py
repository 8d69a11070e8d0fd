"""What the tests share: a fresh migrated database each, a broker, keys, and one connected integration."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
import structlog

import integrations.clickup
from integrations.sealing import Keyring
from schema import integrations as registry
from schema.integrations import NewIntegration, NewSecret
from schema.migrate import migrate
from schema.postgres import Database
from tests.workers import (
    broker,
    pytest_collection_modifyitems,  # noqa: F401  a hook
    pytest_xdist_make_scheduler,  # noqa: F401  a hook
    pytest_xdist_setupnodes,  # noqa: F401  a hook
)

ROOT_OF_TESTS = Path(__file__).parent
SAMPLES = Path(integrations.clickup.__file__).parent / "samples"
SECRET = "K7Q2M9XWZ4T1R8V3B6N5C0L2J9H4G7F1D8S3A6P5O2I9U4Y7E1W8Q3T6R5Z0X2V9"
WEBHOOK = "5d0c3c5e-9c1a-4f0e-8a57-1f2f1f0a9b3d"
"""The hook that the samples come from."""


def pytest_configure() -> None:
    """Keep the developer's own configuration out of the tests, but for the two servers."""
    for name in ("INTEGRATION_ENCRYPTION_KEY", "CLICKUP_API_URL", "PUBLIC_URL", "INGEST_PORT", "LOG_LEVEL"):
        os.environ.pop(name, None)


def _server(name: str) -> str:
    if (url := os.environ.get(name)) is None:
        pytest.fail(f"{name} is not set: run `make test`, which provides the servers", pytrace=False)
    return url


@pytest.fixture(scope="session")
def amqp_url() -> str:
    return broker() or _server("AMQP_URL")


@pytest.fixture(autouse=True)
def _quiet_logs() -> Iterator[None]:
    """Tests that look at logs capture them; the rest is not printed."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


def named(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@asynccontextmanager
async def new_database(*, template: str | None = None) -> AsyncIterator[str]:
    """The URL of a new database, a copy of `template` or an empty one; dropped in the end."""
    server, name = _server("DATABASE_URL"), f"kb_test_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        yield named(server, name)
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def template() -> AsyncIterator[str]:
    """A migrated database to copy: its name."""
    async with new_database() as url:
        await migrate(url)
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture
async def database_url(template: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database without rows."""
    async with new_database(template=template) as url:
        yield url


@pytest.fixture
async def empty_database_url() -> AsyncIterator[str]:
    """The URL of a database without our schema."""
    async with new_database() as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The fresh database with the rights of its owner."""
    opened = await Database(database_url, program="test", max_size=10).open()
    yield opened
    await opened.close()


@pytest.fixture
async def sql(database_url: str) -> AsyncIterator[Any]:
    """A plain connection, to look at rows."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring([bytes(range(32))])


KEY = bytes(range(32)).hex()
"""The keyring's key, as INTEGRATION_ENCRYPTION_KEY has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A connected integration."""

    id: UUID = field(default_factory=uuid4)
    org_id: str = "org"
    project_id: UUID = field(default_factory=uuid4)
    name: str = "clickup"
    webhook_id: str = WEBHOOK
    secret: str = SECRET

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


async def connect(
    database: Database,
    keyring: Keyring,
    *,
    connected: Connected | None = None,
    enabled: bool = True,
    token: str = "pk_test",  # noqa: S107  no secret
    workspace_id: str = "9012345678",
) -> Connected:
    """Put an integration with one webhook secret into the database."""
    one = connected or Connected()
    secret_id = uuid4()
    settings = orjson.dumps({"token": token, "workspace_id": workspace_id})
    new = NewIntegration(
        id=one.id,
        name=one.name,
        display_name="ClickUp",
        description=None,
        enabled=enabled,
        org_id=one.org_id,
        project_id=one.project_id,
        settings_sealed=keyring.seal(settings, row=f"integrations/{one.id}/settings"),
    )
    sealed = keyring.seal(one.secret.encode(), row=f"webhook_secrets/{secret_id}")
    await registry.create(database, new, [NewSecret(id=secret_id, webhook_id=one.webhook_id, secret_sealed=sealed)])
    return one


@pytest.fixture
async def connected(database: Database, keyring: Keyring) -> Connected:
    """One enabled ClickUp integration, which the sample deliveries are for."""
    return await connect(database, keyring)


@pytest.fixture
async def swept() -> AsyncIterator[None]:
    """For tests that cut connections: what is left of those ends here, in the loop that they belong to.

    aio_pika closes a connection when it is collected, which fails wherever no loop runs: in any later test.
    """
    yield
    gc.collect()
    await asyncio.sleep(0)


async def until(condition: Callable[[], bool | Awaitable[bool]], *, within: float = 20.0) -> None:
    """Wait until the condition holds. Raises `TimeoutError`."""
    async with asyncio.timeout(within):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)


def sample(name: str) -> bytes:
    """The bytes of a sample delivery."""
    return (SAMPLES / f"{name}.json").read_bytes()


def utc(text: str) -> datetime:
    """A time, from ISO text."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
