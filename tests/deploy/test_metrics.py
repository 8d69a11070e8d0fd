"""What is counted is documented, and consumers that run alone show it."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from prometheus_client import REGISTRY

from cli.consumer_program import run_consumers
from cli.settings import Secret, Settings
from consumers import standing
from schema.postgres import Database
from tests.conftest import KEY, until
from tests.deploy.reading import ROOT
from tests.services.server import free_port

for module in ("events", "ingest", "consumers", "integrations", "gallery", "cli"):
    importlib.import_module(f"{module}.metrics")


def registered() -> dict[str, tuple[str, set[str]]]:
    """Our metrics by the name under which they are shown, with type and labels."""
    found = {}
    for collector, names in [*REGISTRY._collector_to_names.items(), *standing.MINE._collector_to_names.items()]:
        shown: Any = collector
        if collector is not standing.MINE and any(name.startswith("kb_") for name in names):
            name = shown._name + ("_total" if shown._type == "counter" else "")
            found[name] = (shown._type, set(shown._labelnames))
    return found


def documented() -> dict[str, tuple[str, set[str]]]:
    """The same, as docs/metrics.md says it."""
    rows = re.findall(r"^\| `(kb_\w+)` +\| (\w+) +\| ([^|]*)\|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_every_metric_is_documented() -> None:
    """Name, type and labels in docs/metrics.md are those of the registry; nothing more and nothing less."""
    assert len(registered()) > 30
    assert documented() == registered()


async def test_the_whole_installation_is_looked_up(database: Database, sql: Any, connected: Any) -> None:
    """What PostgreSQL knows becomes numbers, zeros included, under the role of `upkeep`."""
    await sql.execute(
        "INSERT INTO kb.jobs (integration_id, kind, status, done, total) VALUES ($1, 'import', 'running', 1, 4)",
        connected.id,
    )
    await sql.execute(
        "INSERT INTO kb.webhooks (integration_id, status, checked_at) VALUES ($1, 'suspended', now())", connected.id
    )
    await sql.execute(
        "INSERT INTO kb.outbox (headers, body, created_at) VALUES ('{}', '', now() - interval '1 minute')"
    )
    mine = await Database(database._url, program="test", role="kb_upkeep").open()
    try:
        await standing.look(mine)
    finally:
        await mine.close()

    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, labels)

    assert value("kb_integrations") == 1
    assert (value("kb_webhooks", status="suspended"), value("kb_webhooks", status="active")) == (1, 0)
    assert value("kb_jobs", kind="import", status="running") == 1
    assert value("kb_job_progress_ratio", kind="import") == 0.25
    assert value("kb_outbox_messages") == 1
    assert 60 <= (value("kb_outbox_oldest_seconds") or 0) < 120
    assert value("kb_spool_dead_messages") == 0
    await sql.execute("DELETE FROM kb.jobs")
    await standing.look(database)
    assert value("kb_job_progress_ratio", kind="import") is None
    assert value("kb_jobs", kind="import", status="running") == 0


@asynccontextmanager
async def consuming(settings: Settings, *names: str) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_consumers(settings, names, stop, alone=True))
    try:
        yield
    finally:
        stop.set()
        await task


def settings(database_url: str, amqp_url: str | None, port: int | None) -> Settings:
    return Settings(
        database_url=Secret(database_url),
        amqp_url=Secret(amqp_url) if amqp_url else None,
        integration_encryption_key=Secret(KEY),
        metrics_port=port,
    )


async def test_a_consumer_alone_has_a_port(database_url: str, amqp_url: str) -> None:
    """Alive from the start, ready once its consumer is on its queue, and it shows its metrics."""
    port = free_port()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

        async def ready() -> bool:
            with suppress(httpx.TransportError):
                return (await http.get("/readyz")).status_code == 200
            return False

        async with consuming(settings(database_url, amqp_url, port), "journal", "upkeep"):
            await until(ready)
            assert (await http.get("/readyz")).json() == {"status": "ready"}
            assert (await http.get("/healthz")).status_code == 200
            assert "kb_consumer_lag_seconds" in (await http.get("/metrics")).text
            assert (await http.post("/metrics")).status_code == 405
        assert not await ready()


async def test_without_its_broker_it_is_alive_and_not_ready(database_url: str) -> None:
    """503 that names the queue; nobody needs to kill it."""
    port = free_port()
    away = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

        async def alive() -> bool:
            with suppress(httpx.TransportError):
                return (await http.get("/healthz")).status_code == 200
            return False

        async with consuming(settings(database_url, away, port), "journal"):
            await until(alive)
            answer = await http.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["missing"].keys() == {"journal"}


async def test_without_a_port_it_has_none(database_url: str, amqp_url: str) -> None:
    """Many consumers may run side by side on one machine without being told apart."""
    one = settings(database_url, amqp_url, None)
    async with consuming(one, "journal"), consuming(one, "journal"):
        await asyncio.sleep(0.2)
