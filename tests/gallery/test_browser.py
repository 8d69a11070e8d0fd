"""Every way through the gallery, in a browser: real processes, a real database, a simulated workspace, Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from cli.serving import serving as served
from cli.settings import Secret
from tests.gallery.browser import TOKEN, World, accessible, card, dialog, world
from tests.gallery.gallery import serving
from tests.gallery.test_oidc import AUDIENCE
from tests.gallery.test_sign_on import SECRET, Granting
from tests.services.server import free_port

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


async def test_signing_in_at_the_company(at: World) -> None:
    """The link leads to the provider, on another site, and back to where one wanted; signed out, the door is shut."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    async with Granting(here=address).serving() as provider:
        settings = {
            "oidc_issuer": Secret(provider.url), "oidc_audience": AUDIENCE, "oidc_client_id": "us",
            "oidc_client_secret": Secret(SECRET), "gallery_url": Secret(address),
        }  # fmt: skip
        async with (
            serving(at.database, at.database_url, at.source, **settings) as gallery,
            served(gallery.app, host="127.0.0.1", port=port),
            at.page(None) as page,
        ):
            await page.goto(f"{address}/events?outcome=failed")
            await accessible(page, "the door, with a sign-in service")
            await page.get_by_role("link", name="Sign in with your company's account").click()
            await expect(page.get_by_role("heading", name="The company")).to_be_visible()
            assert page.url.startswith("http://localhost:")
            await page.get_by_role("link", name="Go on as Ada").click()
            await expect(page).to_have_url(f"{address}/events?outcome=failed")
            await expect(page.get_by_role("heading", name="Deliveries")).to_be_visible()
            await expect(page.locator(".who .name")).to_have_text("Ada")
            await page.get_by_role("button", name="Sign out").click()
            await expect(page).to_have_url(f"{address}/sign-in")
            await page.goto(f"{address}/events")
            await expect(page.get_by_label("Access token")).to_be_visible()


async def test_connecting_by_the_dialog(at: World) -> None:
    """Token, test, workspace, connect; then spaces and lists, tri-state; the token is never shown again."""
    async with at.page(forgive=["status of 422"]) as page:
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


async def test_configuring(at: World) -> None:
    """The token is not in the page; spaces and lists are chosen by keys, tri-state, and saved; Escape saves nothing."""
    await at.connected("Configured")
    async with at.page() as page:
        opener = card(page, "Configured").get_by_role("button", name="Configure")
        await opener.click()
        form = dialog(page)
        assert TOKEN not in await page.content()
        await expect(form.get_by_label("API token")).to_have_value("")
        await form.get_by_role("button", name="Choose spaces and lists").click()
        spaces = form.locator("[data-type=space]")
        await expect(spaces.first).to_be_focused()
        await page.keyboard.press("ArrowDown")  # into the space: its first list or folder
        await page.keyboard.press("Space")
        await expect(spaces.first).to_have_attribute("aria-checked", "mixed")
        await accessible(page, "configuring")
        await page.keyboard.press("Home")
        await page.keyboard.press("ArrowLeft")
        await expect(spaces.first).to_have_attribute("aria-expanded", "false")
        await page.keyboard.press("Enter")
        await expect(spaces.first).to_have_attribute("aria-checked", "true")
        await page.keyboard.press("Escape")
        await expect(form).to_have_count(0)
        await expect(opener).to_be_focused()

        await opener.click()
        await form.get_by_role("button", name="Choose spaces and lists").click()
        await spaces.nth(1).locator("> .node").click()
        await form.get_by_label("Name").fill("Configured anew")
        await form.get_by_role("button", name="Save").click()
        await expect(page.locator(".toast")).to_have_text("Saved.")
        await card(page, "Configured anew").get_by_role("button", name="Configure").click()
        await form.get_by_role("button", name="Choose spaces and lists").click()
        await expect(spaces.nth(1)).to_have_attribute("aria-checked", "true")
        await expect(spaces.nth(0)).to_have_attribute("aria-checked", "false")
        await form.get_by_role("button", name="Test connection").click()  # the saved token is still there
        await expect(form.locator("[data-verdict]")).to_have_class("verdict good")


async def test_the_wizard(at: World) -> None:
    """Three steps begin an import; its page follows it, survives a reload, cancels it, and tries again to its end."""
    await at.connected("Imported")
    async with at.page() as page:
        await card(page, "Imported").get_by_role("button", name="Import").click()
        form = dialog(page)
        await expect(form.get_by_role("treeitem").first).to_be_visible()
        await accessible(page, "the wizard, what")
        await form.get_by_role("button", name="Next").click()
        await accessible(page, "the wizard, how", thorough=False)
        await form.get_by_label("Comments").uncheck()
        await form.get_by_role("button", name="Next").click()
        await expect(form.locator("[data-summary]")).to_have_text(
            "An import of everything the integration is set to read."
        )
        await accessible(page, "the wizard, ready", thorough=False)
        at.simulator.faults.api_latency = 0.3
        await form.get_by_role("button", name="Begin").click()
        await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
        await accessible(page, "an import on its way", thorough=False)
        await page.reload()
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator(".badge.cancelled")).to_be_visible()
        at.simulator.faults.api_latency = 0.0
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator(".badge.completed")).to_be_visible()
        await expect(page.locator("progress")).to_have_attribute("value", "1.0")
        await expect(page.get_by_role("rowheader", name="Task", exact=True)).to_be_visible()
        await accessible(page, "an import at its end")


async def test_the_webhook(at: World) -> None:
    """Register, rotate the secret, and repair after ClickUp suspended it: deliveries arrive again."""
    id_ = await at.connected("Hooked")
    async with at.page() as page:
        await card(page, "Hooked").get_by_role("button", name="Configure").click()
        form = dialog(page)
        await form.get_by_role("button", name="Register").click()
        await expect(page.locator(".toast")).to_contain_text("Registered")
        await expect(form.locator("[data-hook] .badge.active")).to_be_visible()
        (hook,) = at.hooks()
        before = hook.secret
        await form.get_by_role("button", name="Rotate secret").click()
        await expect(page.locator(".toast").last).to_contain_text("new secret")
        (hook,) = at.hooks()
        assert hook.secret != before
        at.simulator.workspace.suspend_webhook(hook.id)
        await form.get_by_role("button", name="Repair").click()
        await expect(page.locator(".toast").last).to_contain_text("Mended")
        assert not at.hooks()[0].suspended
        await expect(form.locator("[data-hook] .badge.active")).to_be_visible()

        at.simulator.faults.keep_suspended = True
        at.simulator.workspace.suspend_webhook(hook.id)
        await form.get_by_role("button", name="Repair").click()
        await expect(page.locator(".toast.bad")).to_contain_text("left it suspended")
        await expect(form.locator("[data-hook] .badge.suspended")).to_be_visible()
        await expect(form.locator("[data-hook] .note.bad")).to_contain_text("has suspended this webhook")
        await accessible(page, "a suspended webhook, configuring")
        await page.keyboard.press("Escape")
        await expect(card(page, "Hooked").locator(".note.bad")).to_contain_text("no changes arrive by it")
        await expect(page.locator(".figures .bad")).to_contain_text("need attention")
        await page.goto(f"/integrations/{id_}")
        panel = page.locator(".panel").filter(has=page.get_by_role("heading", name="Webhook", exact=True))
        await expect(panel.locator(".note.bad")).to_contain_text("a sync then fetches what was missed")
        await accessible(page, "a suspended webhook")
        await page.get_by_role("button", name="Configure").click()
        await form.get_by_role("button", name="Repair").click()
        await expect(page.locator(".toast").last).to_contain_text("Mended")
        at.simulator.faults.keep_suspended = False
        (made,) = at.hooks()
        assert (made.id != hook.id, made.suspended) == (True, False)


async def test_deleting(at: World) -> None:
    """Only the typed name opens the way; the integration, its hook and its card are gone."""
    id_ = await at.connected("Doomed")
    async with at.page(f"/integrations/{id_}", forgive=["status of 404"]) as page:
        await page.get_by_role("button", name="Configure").click()
        form = dialog(page)
        button = form.get_by_role("button", name="Delete for good")
        await form.locator("[data-confirm]").fill("doomed")
        await expect(button).to_be_disabled()
        await form.locator("[data-confirm]").fill("Doomed")
        await button.click()
        await expect(page).to_have_url(f"{at.gallery}/")
        await expect(card(page, "Doomed")).to_have_count(0)
        await page.goto(f"/integrations/{id_}")
        await expect(page.locator("[data-problem=not-found]")).to_be_visible()
        await accessible(page, "not found", thorough=False)


async def test_by_keyboard_alone(at: World) -> None:
    """From the skip link through a dialog: Tab reaches it, stays in it, Enter and Space act, Escape leads back."""
    await at.connected("By keys")
    async with at.page() as page:
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        opener = card(page, "By keys").get_by_role("button", name="Configure")
        for _ in range(60):
            await page.keyboard.press("Tab")
            if await opener.evaluate("(one) => one === document.activeElement"):
                break
        await page.keyboard.press("Enter")
        form = dialog(page)
        await expect(form).to_be_visible()
        for _ in range(40):  # round and round in the dialog, never behind it
            await page.keyboard.press("Tab")
            assert await page.evaluate(
                "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            )
        await form.get_by_label("Docs").focus()
        await page.keyboard.press("Space")
        await expect(form.get_by_label("Docs")).not_to_be_checked()
        await form.get_by_label("Name").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(".toast")).to_have_text("Saved.")
        await expect(opener).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(form).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(opener).to_be_focused()
