"""The gallery beside all other programs, on RabbitMQ, with a simulated ClickUp: what needs the whole to be seen."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from integrations.clickup.simulator.story import populate
from integrations.clickup.webhook import sign
from tests.conftest import KEY, sample, until
from tests.gallery.gallery import API
from tests.gallery.real import CLICKUP_TOKEN, Real, running

FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))
"""How long the API is fuzzed; 0 = each operation a few times."""


@pytest.fixture(scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory, template: str, amqp_url: str) -> AsyncIterator[Real]:
    async with running(tmp_path_factory.mktemp("real"), template=template, amqp_url=amqp_url) as opened:
        await opened.simulator.apply(populate(opened.simulator.workspace))
        yield opened


async def test_a_webhook_from_its_registration_to_its_end(real: Real) -> None:
    """Registered, rotated, mended when the source has lost it, removed with the integration: seen at the source."""
    id_ = await real.connect()
    address = f"{API}/integrations/{id_}/webhook"
    hooks = real.simulator.workspace.webhooks

    def ours() -> list[str]:
        return [hook.id for hook in hooks.values() if id_ in hook.endpoint]

    made = (await real.client.post(address)).json()
    assert made["problem"] is None
    (first,) = ours()
    assert made["webhook"]["webhook_id"] == first
    assert made["deliver_to"] == f"{real.stack.url}/webhooks/clickup/{id_}"
    rotated = (await real.client.post(address, json={"rotate": True})).json()
    assert rotated["problem"] is None
    await until(lambda: len(ours()) == 1 and ours() != [first], within=30)
    (second,) = ours()
    del hooks[second]
    mended = (await real.client.post(address)).json()
    assert (mended["problem"], mended["webhook"]["webhook_id"]) == (None, *ours())
    structure = (await real.client.get(f"{API}/integrations/{id_}/structure")).json()
    spaces = {space.name for space in real.simulator.workspace.spaces.values()}
    assert {one["name"] for one in structure["containers"]} >= spaces
    assert (await real.client.delete(address)).status_code == 204
    assert ours() == []
    await real.client.post(address)
    assert len(ours()) == 1
    assert (await real.client.delete(f"{API}/integrations/{id_}")).status_code == 204
    assert ours() == []


async def test_dead_letters_on_the_broker(real: Real) -> None:
    """They are listed with what was delivered, given back, and discarded, as on the bus in the database."""
    hook = real.simulator.register_webhook(f"{real.stack.url}/webhooks/clickup")
    id_ = await real.connect(hook=(hook.id, hook.secret))
    body = b"{nonsense"
    async with httpx.AsyncClient() as clickup:
        address = f"{real.stack.url}/webhooks/clickup/{id_}"
        answer = await clickup.post(address, content=body, headers={"x-signature": sign(hook.secret, body)})
    assert answer.status_code == 200, answer.text

    async def listed() -> list[dict[str, Any]]:
        answer = await real.client.get(f"{API}/dead-letters", params={"integration_id": id_})
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def dead() -> bool:
        return len(await listed()) == 1

    await until(dead, within=30)
    (one,) = await listed()
    assert one["consumer"] == "knowledge"
    assert (await real.client.get(f"{API}/dead-letters/{one['id']}")).json()["payload"] == body.decode()
    given = await real.client.post(f"{API}/dead-letters/{one['id']}/replay")
    assert given.json() == {"done": 1, "left": 0}
    await until(dead, within=30)  # it died again
    (again,) = await listed()
    assert (await real.client.delete(f"{API}/dead-letters/{again['id']}")).status_code == 204
    assert await listed() == []
    assert (await real.client.delete(f"{API}/integrations/{id_}")).status_code == 204
    assert hook.id not in real.simulator.workspace.webhooks  # it was given with the integration: nobody made it here


def _left_behind(real: Real) -> list[str]:
    """The arguments of all programs, and their logs."""
    arguments = [Path(f"/proc/{one.pid}/cmdline").read_text() for one in real.stack.started if one.poll() is None]
    return arguments + [path.read_text() for path in real.stack.folder.glob("*.log")]


async def test_no_secret_is_seen_anywhere(real: Real) -> None:
    """What was planted is in no answer, log, metric, error, output or argument of a program, after a whole scenario:
    connecting, registering, deliveries good and bad, an import, and every command that prints something.
    """
    id_ = await real.connect()
    said: list[str] = [(await real.client.post(f"{API}/integrations/{id_}/webhook")).text]
    ours = [hook for hook in real.simulator.workspace.webhooks.values() if id_ in hook.endpoint]
    secrets = [CLICKUP_TOKEN, real.token, KEY, *(hook.secret for hook in ours)]
    said.append((await real.client.post(f"{API}/integrations/{id_}/sync", json={"full_sync": True})).text)
    body = sample("task-created")
    async with httpx.AsyncClient() as clickup:
        for signature in (sign(ours[0].secret, body), "wrong", ours[0].secret):
            address = f"{real.stack.url}/webhooks/clickup/{id_}"
            said.append((await clickup.post(address, content=body, headers={"x-signature": signature})).text)
        said += [(await clickup.get(f"{real.stack.url}/{path}")).text for path in ("metrics", "healthz", "readyz")]
    for wrong in (
        {"settings": {"token": CLICKUP_TOKEN + "\n"}},
        {"settings": {"spaces": CLICKUP_TOKEN}},
        [CLICKUP_TOKEN],
    ):
        answer = await real.client.patch(f"{API}/integrations/{id_}", json=wrong)
        assert answer.status_code == 422, answer.text
        said.append(answer.text)
    description = (await real.client.get("/openapi.json")).json()
    for path in description["paths"]:
        filled = path.replace("{name}", id_).replace("{id}", str(uuid4()))
        params = {"q": "a", "object": "task/1"}
        said.append((await real.client.get(filled, params=params)).text)
    async with httpx.AsyncClient(base_url=real.url) as browser:
        said.append((await browser.post("/session", json={"token": real.token}, headers={"Origin": real.url})).text)
        for path in ("/metrics", "/openapi.json", "/", "/events", "/dead-letters", "/audit", f"/integrations/{id_}"):
            answer = await browser.get(path)
            assert answer.status_code == 200, path
            said.append(answer.text)
    for words in (
        ["integration", "list"], ["integration", "show", id_], ["webhook", "status", id_], ["events", "list"],
        ["dead", "list"], ["token", "list"], ["keys", "list"], ["doctor"],
    ):  # fmt: skip
        done = await real.stack.attempt(*words, "--json")
        said += [done.printed.decode(), done.complaints]
    for words in (["integration", "show", id_], ["doctor"], ["keys", "list"]):
        done = await real.stack.attempt(*words)
        said += [done.printed.decode(), done.complaints]
    said += await asyncio.to_thread(_left_behind, real)
    assert len(said) > 50
    everything = "\n".join(said)
    for number, secret in enumerate(secrets):
        assert secret not in everything, f"secret {number} is seen"


@pytest.mark.timeout(FUZZ_SECONDS + 300)
async def test_the_api_is_as_its_openapi_says(real: Real, tmp_path: Path) -> None:
    """Whatever is asked, valid or not: no 5xx, no status, body or header that the OpenAPI does not tell of."""
    for _ in range(20):
        await real.connect(uuid4())
    async with asyncio.timeout(FUZZ_SECONDS + 250):
        end, seed, most = time.monotonic() + FUZZ_SECONDS, 0, 200 if FUZZ_SECONDS else 15
        while seed == 0 or time.monotonic() < end:
            seed += 1
            process = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("st")),
                "--config-file", str(Path(__file__).with_name("schemathesis.toml")), "--no-color",
                "run", f"{real.url}/openapi.json", "--header", f"Authorization: Bearer {real.token}",
                "--seed", str(seed), "--max-examples", "5" if FUZZ_SECONDS else "2", "--max-time", str(most),
                cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            printed, _ = await process.communicate()
            assert process.returncode == 0, printed.decode()[-20_000:]
            print(f"seed {seed}: {printed.decode()[-300:]}")  # noqa: T201  `make api-fuzz` shows what was done
    broken = [line for line in real.stack.logs("gallery.problem") if line["type"] == "unexpected"]
    assert not broken
