"""The gallery in a browser: `kb-ingest up` as a process of its own, a simulated workspace behind it, and Chromium.

Whoever opens a page here promises with it that the page complains about nothing on its console.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import axe_core_python
import httpx
from playwright.async_api import Browser, Locator, Page, ViewportSize, async_playwright, expect

from cli.token_commands import new_token
from integrations.clickup.simulator.delivery import sign
from integrations.clickup.simulator.records import Webhook
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.story import populate
from schema import tokens
from schema.postgres import Database
from tests.conftest import KEY, new_database, until
from tests.house import now
from tests.proxy import Proxy
from tests.services.chromium import find_chromium
from tests.services.server import free_port

TOKEN: Final = "pk_48213377_BROWSER"
START_SECONDS: Final = 60.0
ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-color-profile=srgb",
)  # fmt: skip
DESKTOP: Final = ViewportSize(width=1280, height=800)
PHONE: Final = ViewportSize(width=390, height=844)
AXE: Final = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
LOOK: Final = """async (only) => {
    const options = { resultTypes: ["violations"], ...(only ? { runOnly: only } : {}) };
    const { violations } = await axe.run(document, options);
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((one) => `${one.html.slice(0, 160)} ` +
        one.any.concat(one.all, one.none).map((why) => why.message).join("; ")).slice(0, 4).join(" | ")}`);
}"""
SETTLE: Final = "Promise.all(document.getAnimations().map((one) => one.finished))"
"""Nothing moves any more; with reduced motion nothing goes on for ever."""

expect.set_options(timeout=15_000)


@dataclass(slots=True, kw_only=True)
class World:
    """A running kb-ingest, its source, and a browser. Through `proxy` alone it reaches its database."""

    simulator: Simulator
    browser: Browser
    gallery: str
    ingest: str
    token: str
    api: httpx.AsyncClient
    database: Database
    database_url: str
    source: str
    proxy: Proxy
    main: str = ""

    async def scoped(self, *scopes: str) -> str:
        """A token that may do only this."""
        new, text = new_token(
            random=os.urandom(tokens.OCTETS), now=now(), name="scoped", scopes=list(scopes), org=None, project=None
        )
        await tokens.create(self.database, new)
        return text

    async def connected(self, name: str, *, hook: bool = False, **settings: Any) -> str:
        """Connect the workspace once more, under this name, in a project of its own; the integration's id."""
        body = {
            "name": "clickup", "display_name": name, "org_id": "acme", "project_id": str(uuid4()), "enabled": True,
            "settings": {"token": TOKEN, "workspace_id": self.simulator.workspace.team_id, **settings},
        }  # fmt: skip
        id_ = str((await self.call("POST", "/integrations", body))["id"])
        if hook:
            await self.call("POST", f"/integrations/{id_}/webhook", {})
        return id_

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API."""
        answer = await self.api.request(method, f"/api/v1{path}", json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def hooks(self) -> list[Webhook]:
        """The webhooks at the source, oldest first."""
        return self.simulator.workspace.webhooks_of(self.simulator.workspace.owner.id)

    async def deliver(self, integration: str, hook: Webhook, body: bytes) -> None:
        """A signed delivery of this hook, whatever it says."""
        url = f"{self.ingest}/webhooks/clickup/{integration}"
        answer = await self.api.post(url, content=body, headers={"X-Signature": sign(hook.secret, body)})
        assert answer.status_code == 200

    async def job(self, integration: str, **wish: Any) -> str:
        """Ask for a job and wait for its end; its id."""
        id_ = str((await self.call("POST", f"/integrations/{integration}/sync", wish))["id"])

        async def ended() -> bool:
            return (await self.call("GET", f"/jobs/{id_}"))["status"] in ("completed", "failed", "cancelled")

        await until(ended, within=30)
        return id_

    @asynccontextmanager
    async def page(
        self, path: str | None = "/", *, token: str | None = None, viewport: ViewportSize = DESKTOP, dark: bool = False,
        forgive: Sequence[str] = (),
    ) -> AsyncIterator[Page]:  # fmt: skip
        """A page of somebody who signed in, unless `path` is nothing. `forgive`: what the console may say."""
        context = await self.browser.new_context(
            base_url=self.gallery, viewport=viewport, color_scheme="dark" if dark else "light", reduced_motion="reduce"
        )
        said: list[str] = []
        try:
            page = await context.new_page()
            page.on("console", lambda line: said.append(line.text) if line.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: said.append(str(error)))
            if path is not None:
                answer = await context.request.post(
                    "/session", data={"token": token or self.token}, headers={"Sec-Fetch-Site": "same-origin"}
                )
                assert answer.ok, await answer.text()
                await page.goto(path)
            yield page
        finally:
            await context.close()
        said = [line for line in said if not any(re.search(one, line) for one in forgive)]
        assert not said, "\n".join(said)


@asynccontextmanager
async def world(folder: Path, template: str) -> AsyncIterator[World]:
    """Everything, until the end of the block. The workspace is small, and nobody works in it but the test."""
    simulator = Simulator(seed=6, token=TOKEN, backoff=(0.2, 0.2, 0.2, 0.2))
    populate(simulator.workspace, spaces=2, folders_per_space=1, lists_per_folder=2, tasks_per_list=3)
    async with (
        new_database(template=template) as database_url,
        simulator.serving() as source,
        _proxied(database_url) as proxy,
        _running(folder, proxy.url, source) as (gallery, ingest),
        async_playwright() as playwright,
    ):
        token = (folder / "data" / "api.token").read_text()
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=gallery, headers=headers, timeout=30) as api:
            database = await Database(database_url, program="test", max_size=1).open()
            yield World(
                simulator=simulator, browser=browser, gallery=gallery, ingest=ingest, token=token, api=api,
                database=database, database_url=database_url, source=source, proxy=proxy,
            )  # fmt: skip
            await database.close()
        await browser.close()
        await simulator.close(grace=0.5)


@asynccontextmanager
async def _proxied(url: str) -> AsyncIterator[Proxy]:
    proxy = await Proxy(url).mend()
    yield proxy
    await proxy.cut()


@asynccontextmanager
async def _running(folder: Path, database_url: str, source: str) -> AsyncIterator[tuple[str, str]]:
    ports = {"INGEST_PORT": free_port(), "GALLERY_PORT": free_port()}
    ingest, gallery = (f"http://127.0.0.1:{port}" for port in ports.values())
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "CLICKUP_API_URL": source,
        "INTEGRATION_ENCRYPTION_KEY": KEY,
        "PUBLIC_URL": ingest,
        "COALESCE_SECONDS": "0.2",
        **{name: str(port) for name, port in ports.items()},
    }
    words = [sys.executable, "-m", "cli", "up", "--data-dir", str(folder / "data")]
    with (folder / "up.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    async def answers() -> bool:
        assert process.returncode is None, (folder / "up.log").read_text()
        try:
            async with httpx.AsyncClient(timeout=2) as http:
                ready = [await http.get(url) for url in (f"{ingest}/readyz", f"{gallery}/sign-in")]
                return all(answer.status_code == 200 for answer in ready) and (folder / "data" / "api.token").exists()
        except httpx.HTTPError:
            return False

    try:
        await until(answers, within=START_SECONDS)
        yield gallery, ingest
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


async def accessible(page: Page, about: str, *, thorough: bool = True) -> None:
    """Let axe-core look at a page as it stands: light and dark, on a desktop and on a phone.

    Colours are looked at in each; everything else once on a desktop, and once on a phone if `thorough`.
    """
    await page.evaluate(AXE)
    found: list[str] = []
    for name, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        await page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.evaluate(SETTLE)
            only = None if scheme == "light" and (thorough or viewport is DESKTOP) else ["color-contrast"]
            found += [f"{about}, {name}, {scheme}: {one}" for one in await page.evaluate(LOOK, only)]
        wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            found.append(f"{about}, {name}: it is {wide} px wider than the window")
    await page.set_viewport_size(DESKTOP)
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert not found, "\n".join(found)


def dialog(page: Page) -> Locator:
    """The one dialog, if it is open."""
    return page.locator("dialog[open]")


def card(page: Page, name: str) -> Locator:
    """The card of an integration."""
    return page.locator("li.card").filter(has=page.get_by_role("heading", name=name, exact=True))
