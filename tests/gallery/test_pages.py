"""The page as a browser meets it: signing in, what each view shows, what another site cannot do, when to look again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from cli.serving import serving as served
from gallery import files
from gallery.session import place_of_ours
from schema.postgres import Database
from tests.conftest import Connected
from tests.gallery.gallery import API, Gallery, serving

OURS = {"Sec-Fetch-Site": "same-origin"}
VIEWS = ("/", "/events", "/dead-letters", "/search?q=task", "/audit")


@pytest.fixture
async def gallery(database: Database, database_url: str) -> AsyncIterator[Gallery]:
    async with serving(database, database_url, "http://127.0.0.1:1/api") as opened:
        yield opened


@asynccontextmanager
async def signed_in(gallery: Gallery, *scopes: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that signed in."""
    async with gallery.client() as browser:
        answer = await browser.post("/session", json={"token": await gallery.token(*scopes)}, headers=OURS)
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        yield browser


async def test_whoever_is_not_signed_in_is_asked_to(gallery: Gallery) -> None:
    """Each view leads to the sign-in and remembers where one wanted to go; a wrong token is a helpful problem."""
    async with gallery.client() as browser:
        for view in VIEWS:
            answer = await browser.get(view)
            assert answer.status_code == 303, view
            assert answer.headers["location"].startswith("/sign-in")
        assert (await browser.get("/sign-in")).status_code == 200
        wrong = await browser.post("/session", json={"token": "kbi_" + "A" * 43}, headers=OURS)
        assert wrong.status_code == 401
        assert "token list" in wrong.json()["detail"]


async def test_every_view_opens_and_nothing_in_it_runs(gallery: Gallery, connected: Connected) -> None:
    """Views are there, with a strict policy and without inline script or style; names are escaped."""
    async with signed_in(gallery) as browser:
        changed = await browser.patch(
            f"{API}/integrations/{connected.id}", json={"display_name": "<script>alert(1)</script>"}, headers=OURS
        )
        assert changed.status_code == 200
        for view in (*VIEWS, "/docs", f"/integrations/{connected.id}"):
            answer = await browser.get(view)
            assert answer.status_code == 200, view
            assert "script-src 'self'" in answer.headers["content-security-policy"]
            assert "<script>" not in answer.text
            assert " style=" not in answer.text
        assert "&lt;script&gt;" in (await browser.get("/")).text
        assert (await browser.delete("/session", headers=OURS)).status_code == 204
        assert (await browser.get("/")).status_code in (302, 303, 307)


async def test_the_description_of_the_api_is_for_everybody(gallery: Gallery) -> None:
    """As `/openapi.json` is: who is not signed in reads it too, and with it the way to sign in."""
    async with gallery.client() as stranger, gallery.client("kbi_" + "A" * 43) as unknown, signed_in(gallery) as known:
        assert (await stranger.get("/openapi.json")).status_code == 200
        for browser, member in ((stranger, False), (unknown, False), (known, True)):
            answer = await browser.get("/docs")
            assert answer.status_code == 200
            assert "/api/v1/integrations/{name}/sync" in answer.text
            assert ("Sign out" in answer.text, 'href="/sign-in?next=/docs"' in answer.text) == (member, not member)


async def test_the_first_page_is_the_integration_gallery(gallery: Gallery) -> None:
    """By its title and its heading, with a session and with a bearer token."""
    async with signed_in(gallery) as browser, gallery.client(await gallery.token()) as program:
        for client in (browser, program):
            page = (await client.get("/")).text
            assert "<title>Integration Gallery · kb-ingest</title>" in page
            assert "<h1>Integration Gallery</h1>" in page


async def test_files_are_kept_for_good_and_change_their_address(gallery: Gallery) -> None:
    """What a page is made of needs no visitor and no second question; of another release nothing is kept."""
    async with gallery.client() as browser:
        page = (await browser.get("/sign-in")).text
        for name, kind in (("main.js", "text/javascript"), ("page.css", "text/css"), ("mark.svg", "image/svg+xml")):
            assert f"{files.PLACE}/{name}" in page
            answer = await browser.get(f"{files.PLACE}/{name}")
            assert answer.headers["content-type"].startswith(kind)
            assert "immutable" in answer.headers["cache-control"]
            plain = await browser.get(f"{files.PLACE}/{name}", headers={"Accept-Encoding": "identity"})
            assert (plain.content, "content-encoding" in plain.headers) == (answer.content, False)
            old = await browser.get(f"/static/0123456789abcdef/{name}")
            assert (old.content, old.headers["cache-control"]) == (answer.content, "no-store")
        assert (await browser.get(f"{files.PLACE}/none.js")).status_code == 404


async def test_the_theme_is_in_the_page(gallery: Gallery) -> None:
    """So that nothing flashes; and nothing but a theme."""
    async with gallery.client() as browser:
        for cookie, shown in (("dark", True), ("light", True), ("blue", False)):
            page = (await browser.get("/sign-in", headers={"Cookie": f"kb_theme={cookie}"})).text
            assert (f'data-theme="{cookie}"' in page) is shown


async def test_another_site_does_nothing_in_somebodys_name(gallery: Gallery, connected: Connected) -> None:
    """With the cookie alone, a request of another site changes nothing and signs nobody in or out."""
    async with signed_in(gallery) as browser:
        for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            answer = await browser.patch(f"{API}/integrations/{connected.id}", json={"enabled": False}, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (403, "urn:kb-ingest:problem:cross-site")
            assert (await browser.delete("/session", headers=headers)).status_code == 403
        assert (await browser.get(f"{API}/integrations/{connected.id}")).json()["enabled"] is True


async def test_what_the_scopes_do_not_allow_is_not_offered(gallery: Gallery, connected: Connected) -> None:
    """A reader sees the integration and no way to change it; a view that is not allowed says so."""
    async with signed_in(gallery, "integrations:read") as browser:
        page = (await browser.get(f"/integrations/{connected.id}")).text
        assert "ClickUp" in page
        assert "Sync now" not in page
        refused = await browser.get("/events")
        assert refused.status_code == 403
        assert "events:read" in refused.text


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("/events?type=a", "/events?type=a"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil", "/"),
        ("", "/"), (None, "/"), ("/a\nb", "/"), ("javascript:alert(1)", "/"),
    ],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(wanted: str | None, place: str) -> None:
    """Only a path of this site is gone to afterwards."""
    assert place_of_ours(wanted) == place


async def test_a_page_is_told_when_to_look_again(gallery: Gallery, connected: Connected) -> None:
    """The stream says within moments that something changed, and ends when the program does."""
    token = await gallery.token()
    async with served(gallery.app, host="127.0.0.1", port=29581), httpx.AsyncClient(timeout=10) as http:
        headers = {"Authorization": f"Bearer {token}"}
        async with http.stream("GET", "http://127.0.0.1:29581/live", headers=headers) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            async with asyncio.timeout(10):
                async for line in lines:
                    if line == "event: changed":  # the first look of all
                        break
                url = f"http://127.0.0.1:29581{API}/integrations/{connected.id}"
                await http.patch(url, json={"display_name": "Other"}, headers=headers)
                async for line in lines:
                    if line == "event: changed":
                        break


async def test_filters_by_time_and_the_rate_budget(gallery: Gallery, connected: Connected, sql: Any) -> None:
    """Periods have names, times beyond all calendars are as good as others; the budget is what the source last said."""
    async with signed_in(gallery) as browser:
        for query, status in (
            ("within=day", 200), ("within=year", 422), ("since=yesterday", 422),
            ("since=0001-01-01T00:00:00%2B14:00&until=9999-12-31T23:59:59-14:00", 200),
        ):  # fmt: skip
            assert (await browser.get(f"/events?{query}")).status_code == status, query
        assert "none made lately" in (await browser.get(f"/integrations/{connected.id}")).text
        await sql.execute("INSERT INTO kb.api_budgets (key, calls, counted) VALUES ('k', 100, 13)")
        await sql.execute(
            "INSERT INTO kb.api_callers (key, caller, integration_id, priority, wanted, open, seen_at)"
            " VALUES ('k', gen_random_uuid(), $1, 1, 0, 0, now())", connected.id,
        )  # fmt: skip
        assert "87 of 100" in (await browser.get(f"/integrations/{connected.id}")).text
