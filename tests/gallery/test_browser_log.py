"""What the gallery tells about deliveries, dead letters, knowledge and trouble, in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import expect

from tests.conftest import until
from tests.gallery.browser import TOKEN, World, accessible, card, dialog, world

pytestmark = pytest.mark.timeout(120)

A_DAY_LATER = """
    UPDATE kb.queue_messages SET queue = 'kb.knowledge.dead', available_at = now(), lease = NULL,
        headers = headers || '{"kb-reason": "gave up after 60 tries: ClickUp was away", "kb-attempt": 60}'
    WHERE queue = 'kb.knowledge' AND headers ->> 'kb-reason' IS NOT NULL AND available_at > now()"""
"""What is waiting for its next try has been tried for a day."""


@pytest.fixture(scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory, template: str) -> AsyncIterator[World]:
    """One for all tests of this file, with one integration that is imported and hears its webhook."""
    async with world(tmp_path_factory.mktemp("browser"), template) as opened:
        opened.main = await opened.connected("ClickUp", hook=True)
        await opened.job(opened.main, kind="import")
        yield opened


async def task(at: World, name: str) -> str:
    """A new task at the source, and its deliveries; its id."""
    told = at.simulator.workspace.create_task(next(iter(at.simulator.workspace.lists)), name)
    await at.simulator.apply(told)
    return str(told[0]["task_id"])


async def test_the_log_and_one_story(at: World) -> None:
    """A delivery appears by itself, is found by filter, tells its story, shows its payload and is applied again."""
    async with at.page("/events") as page:
        id_ = await task(at, "Seen from afar")
        row = page.locator(".rows a").filter(has_text=f"task/{id_}").filter(has_text="task.created")
        await expect(row).to_be_visible()
        await expect(row.locator(".badge.applied")).to_be_visible()
        await accessible(page, "the log")
        await page.get_by_role("button", name="Live").click()
        await expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")
        await page.get_by_label("Type begins with").fill("clickup.task.created")
        await page.get_by_label("About").fill(f"task/{id_}")
        await page.get_by_label("Outcome").select_option("applied")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.locator(".rows a")).to_have_count(1)
        await page.get_by_label("Outcome").select_option("failed")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.get_by_role("heading", name="No delivery matches")).to_be_visible()
        await page.get_by_role("link", name="Clear").click()
        await row.click()
        await expect(page.get_by_role("heading", name="clickup.task.created")).to_be_visible()
        for word in ("Received", "Published", "Applied"):
            await expect(page.locator(".story")).to_contain_text(word)
        await page.get_by_text("Payload").click()
        await expect(page.locator("details[open] pre")).to_contain_text(id_)
        await accessible(page, "one story")
        await page.wait_for_load_state()
        await page.get_by_role("button", name="Apply again").click()
        await expect(page.locator(".toast")).to_contain_text("Published again")


async def test_dead_letters(at: World) -> None:
    """Grouped by reason, opened, applied again all together, and discarded after a question."""
    for body in (b'{"event": "somethingNew", "n": 1}', b'{"event": "somethingNew", "n": 2}', b"[]"):
        await at.deliver(at.main, at.hooks()[0], body)

    async def two() -> bool:
        found = await at.call("GET", "/dead-letters")
        return sorted(one["count"] for one in found["reasons"]) == [1, 2]

    await until(two)
    async with at.page("/dead-letters") as page:
        new = page.locator(".group").filter(has_text="somethingNew")
        await expect(new).to_contain_text("2 letters of knowledge")
        await new.get_by_text("Which ones").click()
        await expect(new.locator(".rows a")).to_have_count(2)
        await accessible(page, "dead letters")
        async with page.expect_navigation():
            await new.get_by_role("button", name="Apply again").click()
            await expect(page.locator(".toast")).to_have_text("2 given back to their consumer.")
        await until(two)  # nothing was mended, so they are back
        await page.reload()
        await new.get_by_role("button", name="Discard").click()
        await accessible(page, "a question", thorough=False)
        await dialog(page).get_by_role("button", name="Keep").click()
        await expect(new).to_be_visible()
        async with page.expect_navigation():
            await new.get_by_role("button", name="Discard").click()
            await dialog(page).get_by_role("button", name="Discard").click()
        await expect(new).to_have_count(0)
        await at.call("POST", "/dead-letters/discard", {"all": True})
        await page.reload()
        await expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()
        await accessible(page, "no dead letters", thorough=False)


async def test_a_dead_letter_whose_cause_was_mended(at: World) -> None:
    """The source was away for longer than a change is tried; now it is there, the change is applied again."""
    at.simulator.faults.api_error_rate = 1.0
    id_ = await task(at, "Water the office ficus")
    sql = await asyncpg.connect(at.database_url)

    async def given_up() -> bool:
        return str(await sql.execute(A_DAY_LATER)) != "UPDATE 0"

    try:
        await until(given_up, within=90)
    finally:  # or every later test here finds the source away
        at.simulator.faults.api_error_rate = 0.0
        await sql.close()
    async with at.page("/dead-letters") as page:
        group = page.locator(".group").filter(has_text="gave up after 60 tries")
        await group.get_by_text("Which ones").click()
        await expect(group.locator(".rows a").filter(has_text=f"task/{id_}").first).to_be_visible()
        await group.get_by_role("button", name="Apply again").click()
        await expect(page.locator(".toast")).to_contain_text("given back to their consumer")
        await expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()

        async def known() -> bool:
            found = await at.call("GET", "/knowledge/search?q=ficus")
            return bool(found["items"]) and not found["items"][0]["provisional"]

        await until(known)
        await page.goto("/search?q=ficus")
        await expect(page.locator(".results li")).to_have_count(1)


async def test_the_database_is_away(at: World) -> None:
    """An open page says so and goes on by itself; one that is opened meanwhile waits and opens as soon as it can."""
    async with at.page(forgive=["status of 503"]) as page:
        await expect(card(page, "ClickUp")).to_be_visible()
        stale = page.locator("#stale")
        await expect(stale).to_be_hidden()
        try:
            await at.proxy.cut()
            await expect(stale).to_contain_text("the page goes on by itself")
            await expect(card(page, "ClickUp")).to_be_visible()
            await accessible(page, "the database is away")
            await page.get_by_role("button", name="Sync now").first.click()
            await expect(page.locator(".toast.bad")).to_contain_text("The database or the broker is away")
            answer = await page.goto(f"/integrations/{at.main}")
            assert answer is not None
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            await expect(page.get_by_role("heading", name="One moment, please")).to_be_visible()
            await page.get_by_text("For whoever runs it").click()
            await expect(page.locator("details")).to_contain_text("kb-ingest doctor")
            await accessible(page, "a page that waits")
        finally:
            await at.proxy.mend()
        await expect(page.get_by_role("heading", name="ClickUp", exact=True)).to_be_visible()
        await page.goto("/")
        await expect(stale).to_be_hidden()


async def test_searching(at: World) -> None:
    """Words find a task; the way leads into ClickUp, and to what the knowledge base has of it and why."""
    id_ = await task(at, "Descale the espresso machine")
    async with at.page("/search") as page:
        await expect(page.get_by_label("Words")).to_be_focused()
        await accessible(page, "search, before", thorough=False)

        async def known() -> bool:
            found = await at.call("GET", "/knowledge/search?q=espresso")
            return bool(found["items"]) and not found["items"][0]["provisional"]

        await until(known)
        await page.get_by_label("Words").fill("espresso descale")
        await page.keyboard.press("Enter")
        hit = page.locator(".results li")
        await expect(hit).to_have_count(1)
        into = hit.get_by_role("link", name="Open in ClickUp")
        assert f"/t/{id_}" in (await into.get_attribute("href") or "")
        await accessible(page, "search")
        await hit.get_by_role("link", name="Descale").click()
        await expect(page.get_by_role("heading", name="Where it comes from")).to_be_visible()
        await expect(page.locator(".timeline")).to_contain_text("Delivery")
        await accessible(page, "an object")
        await page.goto("/search?q=nothingofthekind")
        await expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()


async def test_one_integration(at: World) -> None:
    """Charts, sync state, webhook health and jobs of one; and the views that only tell."""
    async with at.page(f"/integrations/{at.main}") as page:
        for title in ("Freshness", "Throughput", "Sync state", "Webhook", "Jobs", "Recent errors"):
            await expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        await expect(page.locator("svg.chart[role=img]")).to_have_count(2)
        await accessible(page, "an integration")
        for path in ("/audit", "/docs"):
            await page.goto(path)
            await accessible(page, path)


async def test_with_fewer_scopes(at: World) -> None:
    """Whoever may only look is offered nothing else, and a view that is not allowed says what to do."""
    reader = await at.scoped("integrations:read", "events:read")
    async with at.page(token=reader, forgive=["status of 403"]) as page:
        await expect(card(page, "ClickUp")).to_be_visible()
        for path in ("/", f"/integrations/{at.main}", "/events", "/dead-letters"):
            await page.goto(path)
            for name in ("Configure", "Sync now", "Import…", "Apply again", "Discard", "Connect ClickUp"):
                await expect(page.get_by_role("button", name=name)).to_have_count(0)
            await expect(page.get_by_role("switch")).to_have_count(0)
        await expect(page.get_by_role("link", name="Search")).to_have_count(0)
        await page.goto("/search")
        await expect(page.locator("[data-problem=missing-scope]")).to_contain_text("knowledge:read")
        await accessible(page, "forbidden")
    async with at.page(token=await at.scoped("knowledge:read")) as page:
        await expect(page.get_by_role("heading", name="Your token does not show integrations")).to_be_visible()
        await accessible(page, "nothing to see", thorough=False)


async def test_trouble(at: World) -> None:
    """A wrong token, a source that is away, an import that failed: each says what is wrong and what to do."""
    async with at.page(forgive=["status of 502"]) as page:
        await card(page, "ClickUp").get_by_role("button", name="Configure").click()
        form = dialog(page)
        await form.get_by_label("API token").fill("pk_1_WRONG")
        await form.get_by_role("button", name="Test connection").click()
        await expect(form.locator("[data-verdict]")).to_have_class("verdict bad")
        await expect(form.locator("[data-verdict]")).to_contain_text("make a new one")
        at.simulator.faults.api_error_rate = 1.0
        await form.get_by_label("API token").fill(TOKEN)
        await form.get_by_role("button", name="Test connection").click()
        await expect(form.locator("[data-verdict]")).to_contain_text("away")
        await form.get_by_role("button", name="Choose spaces and lists").click()
        await expect(form.get_by_role("button", name="Try again")).to_be_visible()
        await accessible(page, "trouble", thorough=False)
        at.simulator.faults.api_error_rate = 0.0
        await form.get_by_role("button", name="Try again").click()
        await expect(form.get_by_role("treeitem").first).to_be_visible()


async def test_an_import_that_failed(at: World) -> None:
    """It says why, lists what could not be taken over, and is tried again to its end once the cause is mended."""
    await at.call("PATCH", f"/integrations/{at.main}", {"settings": {"token": "pk_1_WRONG"}})
    job = await at.job(at.main, kind="import")
    failure = {"type": "task", "external_id": "868abc", "reason": "a task without an id", "raw": {}}
    await at.database.execute("job_fail_add", UUID(job), [failure])
    async with at.page(f"/jobs/{job}") as page:
        await expect(page.locator(".badge.failed")).to_be_visible()
        await expect(page.locator(".note.bad")).to_contain_text("with a new one")
        await expect(page.get_by_role("heading", name="Could not be taken over")).to_be_visible()
        await expect(page.locator("ul.timeline")).to_contain_text("868abc")
        await accessible(page, "an import that failed")
        await page.goto("/")
        await expect(card(page, "ClickUp").locator(".note.bad")).to_contain_text("token")
        await accessible(page, "a failing integration", thorough=False)
        await at.call("PATCH", f"/integrations/{at.main}", {"settings": {"token": TOKEN}})
        await page.goto(f"/jobs/{job}")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator(".badge.completed")).to_be_visible()
