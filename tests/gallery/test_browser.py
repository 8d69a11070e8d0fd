"""Every way through the gallery, in a browser: real processes, a real database, a simulated workspace, Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from tests.conftest import until
from tests.gallery.browser import DESKTOP, PHONE, TOKEN, World, accessible, card, dialog, world

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory, template: str) -> AsyncIterator[World]:
    """One for all tests of this file; each connects integrations of its own."""
    async with world(tmp_path_factory.mktemp("browser"), template) as opened:
        yield opened


async def test_signing_in_and_out(at: World) -> None:
    """A wrong token is told what to do, a right one leads to where one wanted; signed out, the door is shut."""
    async with at.page(None, forgive=["status of 401"]) as page:
        await page.goto("/events?outcome=failed")
        await expect(page.get_by_role("heading", name="Integration Gallery")).to_be_visible()
        await accessible(page, "the door")
        await page.get_by_label("Access token").fill("kbi_" + "A" * 43)
        await page.keyboard.press("Enter")
        await expect(page.locator("#token-error")).to_contain_text("kb-ingest token")
        await accessible(page, "the door, shut", thorough=False)
        await page.get_by_label("Access token").fill(at.token)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page).to_have_url(f"{at.gallery}/events?outcome=failed")
        await expect(page.get_by_role("heading", name="Deliveries")).to_be_visible()
        await page.wait_for_load_state()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_url(f"{at.gallery}/sign-in")
        await page.goto("/events")
        await expect(page.get_by_label("Access token")).to_be_visible()


async def test_connecting_by_the_dialog(at: World) -> None:
    """Token, test, workspace, connect; then spaces and lists, tri-state; the token is never shown again."""
    async with at.page() as page:
        await page.get_by_role("button", name="Connect ClickUp").first.click()
        form = dialog(page)
        await form.get_by_label("Name").fill("By hand")
        await form.get_by_label("Organisation").fill("acme")
        await form.get_by_label("Project").fill("6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e11")
        await form.get_by_role("button", name="Test connection").click()
        await expect(form.locator("[data-verdict], .error:visible").filter(has_text="token").first).to_be_visible()
        await form.get_by_label("token", exact=False).first.fill(TOKEN)
        await form.get_by_role("button", name="Test connection").click()
        await expect(form.locator("[data-verdict]")).to_have_class("verdict good")
        await expect(form.locator("select[data-choices]")).to_have_value(at.simulator.workspace.team_id)
        await accessible(page, "connecting")
        await form.get_by_role("button", name="Connect", exact=True).click()
        await expect(page.locator(".toast")).to_contain_text("Connected")
        await expect(card(page, "By hand")).to_be_visible()


async def test_the_switch(at: World) -> None:
    """One click enables, another one disables; the card and the API agree."""
    id_ = await at.connected("Switched")
    async with at.page() as page:
        switch = card(page, "Switched").get_by_role("switch")
        for state in (False, True):
            await switch.click()
            await expect(switch).to_have_attribute("aria-checked", str(state).lower())
            assert (await at.call("GET", f"/integrations/{id_}"))["enabled"] is state
        await accessible(page, "the gallery")
