"""What is secret is seen nowhere: the real programs, on a stack of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from integrations.clickup.simulator.story import populate
from integrations.clickup.webhook import sign
from tests.conftest import KEY, sample, until
from tests.gallery.gallery import API
from tests.gallery.real import CLICKUP_TOKEN, Real, running


@pytest.fixture(scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory, template: str, amqp_url: str) -> AsyncIterator[Real]:
    async with running(tmp_path_factory.mktemp("real"), template=template, amqp_url=amqp_url) as opened:
        await opened.simulator.apply(populate(opened.simulator.workspace))
        yield opened


def _left_behind(real: Real) -> list[str]:
    """The arguments of all programs, and their logs."""
    arguments = [Path(f"/proc/{one.pid}/cmdline").read_text() for one in real.stack.started if one.poll() is None]
    return arguments + [path.read_text() for path in real.stack.folder.glob("*.log")]


async def test_no_secret_is_seen_anywhere(real: Real) -> None:
    """What was planted is in no answer, log, metric, error, output or argument of a program, after a whole scenario:
    connecting, registering, deliveries good and bad, an import, and every command that prints something.
    """
    id_ = await real.connect()
    said, hooks = list[str](), real.simulator.workspace.webhooks

    async def registered() -> bool:
        said.append((await real.client.post(f"{API}/integrations/{id_}/webhook")).text)
        return any(id_ in hook.endpoint for hook in hooks.values())

    await until(registered, within=60)  # not while somebody else looks after it
    ours = [hook for hook in hooks.values() if id_ in hook.endpoint]
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
