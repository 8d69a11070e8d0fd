"""A real Prometheus reads the real programs at work, and every query of dashboards and alerts is answered."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.grafana import make
from integrations.clickup.simulator.story import populate
from tests.conftest import until
from tests.deploy.reading import PROMETHEUS
from tests.gallery.gallery import API
from tests.gallery.real import Real, running
from tests.services.server import free_port

WINDOW = "2m"
"""In place of Grafana's own, which follows from how often is scraped: here every second."""
FOREIGN = "rabbitmq_"
NOT_HERE = {
    "Spool": "kb_spool_dead_messages counts what a broker refused for good",
    "Connections closed by us": "nobody misbehaved",
    "Progress of jobs": "no job runs any more",
    "Stated, then read": "a verdict needs a look after a statement, seconds later",
    "Webhooks": "kb_webhook_problems has no series where there is none",
}
"""Panels that may have a query without data in a healthy run this short, and why."""

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed (Debian: prometheus)"
)


@asynccontextmanager
async def prometheus(folder: Path, targets: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """One that scrapes these every second, with our alerts."""
    jobs = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()]
    rules = [str(PROMETHEUS / "alerts.yml")]
    settings = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": rules}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings | {"scrape_configs": jobs}))
    port = free_port()
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220  it only starts
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=10) as client:
            await until(lambda: _up(client, len(targets)), within=30)
            yield client
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 15)


async def _up(client: httpx.AsyncClient, count: int) -> bool:
    try:
        return len(await answer(client, "up == 1")) == count
    except (httpx.HTTPError, json.JSONDecodeError):  # it is not ready
        return False


async def answer(client: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    """What a query gives now; numbers that are none are left out."""
    told = (await client.get("/query", params={"query": query})).json()
    assert told["status"] == "success", f"{query}: {told}"
    return [one for one in told["data"]["result"] if one["value"][1] != "NaN"]


async def busy(real: Real) -> None:
    """An integration with a hook and an import, and changes that are stated and some that are read."""
    workspace = real.simulator.workspace
    await real.simulator.apply(populate(workspace))
    id_ = await real.connect()
    assert (await real.client.post(f"{API}/integrations/{id_}/webhook")).json()["problem"] is None
    assert (await real.client.post(f"{API}/integrations/{id_}/sync", json={"kind": "import"})).status_code == 202
    tasks = list(workspace.tasks)
    for number in range(40):
        edits = workspace.describe_task if number % 3 == 0 else workspace.rename_task
        await real.simulator.apply(edits(tasks[number % 5], f"edit {number}"))
        await asyncio.sleep(0.2)


@pytest.mark.timeout(180)
async def test_every_query_has_an_answer(tmp_path: Path, template: str, amqp_url: str) -> None:
    """After half a minute of work each panel has data, each rule is evaluated, and nothing is alarming."""
    async with running(tmp_path, template=template, amqp_url=amqp_url) as real:
        places = real.stack.environment
        targets = {
            "ingest": f"127.0.0.1:{real.stack.port}",
            "consume": f"127.0.0.1:{places['METRICS_PORT']}",
            "gallery": f"127.0.0.1:{places['GALLERY_PORT']}",
        }
        async with prometheus(tmp_path, targets) as client:
            await busy(real)
            panels = [panel for path, _ in make.files() for panel in json.loads(path.read_text())["panels"]]
            asked = [
                (panel["title"], re.sub(r"\$__rate_interval", WINDOW, target["expr"]))
                for panel in panels
                for target in panel["targets"]
                if FOREIGN not in target["expr"]
            ]
            silent: list[tuple[str, str]] = []

            async def all_answered() -> bool:
                silent[:] = [
                    (title, query)
                    for title, query in asked
                    if title not in NOT_HERE and not await answer(client, query)
                ]
                return not silent

            try:
                await until(all_answered, within=60)
            except TimeoutError:
                pytest.fail(f"no data for {silent}")
            groups = (await client.get("/rules")).json()["data"]["groups"]
            assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
            alarms = (await client.get("/alerts")).json()["data"]["alerts"]
            assert [alarm["labels"] for alarm in alarms if alarm["state"] == "firing"] == []
