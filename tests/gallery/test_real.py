"""The gallery beside all other programs, on RabbitMQ, with a simulated ClickUp: what needs the whole to be seen."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from integrations.clickup.simulator.story import populate
from tests.gallery.real import Real, running

FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))
"""How long the API is fuzzed; 0 = each operation a few times."""


@pytest.fixture(scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory, template: str, amqp_url: str) -> AsyncIterator[Real]:
    async with running(tmp_path_factory.mktemp("real"), template=template, amqp_url=amqp_url) as opened:
        await opened.simulator.apply(populate(opened.simulator.workspace))
        yield opened


@pytest.mark.timeout(FUZZ_SECONDS + 300)
async def test_the_api_is_as_its_openapi_says(real: Real, tmp_path: Path) -> None:
    """Whatever is asked, valid or not: no 5xx, no status, body or header that the OpenAPI does not tell of."""
    for _ in range(20):
        await real.connect(uuid4())
    command = (
        ["fuzz", "--max-time", str(FUZZ_SECONDS)]
        if FUZZ_SECONDS
        else ["run", "--max-examples", "2", "--max-time", "30"]
    )
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("st")),
        "--config-file", str(Path(__file__).with_name("schemathesis.toml")), "--no-color",
        *command, f"{real.url}/openapi.json", "--header", f"Authorization: Bearer {real.token}", "--seed", "1",
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()[-20_000:]
    broken = [line for line in real.stack.logs("gallery.problem") if line["type"] == "unexpected"]
    assert not broken
