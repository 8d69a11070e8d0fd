"""API v3 of the simulated ClickUp: docs with nested pages, cursors, attachments, and its own shape of errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from integrations.clickup.simulator.server import Simulator

TOKEN = "pk_48000000_TEST"
NOW = datetime(2026, 3, 15, 10, tzinfo=UTC)


@asynccontextmanager
async def serving(sim: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with sim.serving() as url:
        base = f"{url}/v3/workspaces/{sim.workspace.team_id}"
        async with httpx.AsyncClient(base_url=base, headers={"Authorization": TOKEN}) as http:
            yield http


async def got(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def simulator() -> Simulator:
    return Simulator(seed=11, token=TOKEN, clock=lambda: NOW)


async def test_every_doc_comes_once() -> None:
    """Docs come 50 a page unless asked otherwise, each once; the last page has no cursor."""
    sim = simulator()
    made = [sim.workspace.create_doc(f"Doc {at}").id for at in range(120)]
    async with serving(sim) as http:
        pages = [await got(http, "/docs")]
        while "next_cursor" in pages[-1]:
            pages.append(await got(http, "/docs", cursor=pages[-1]["next_cursor"]))
        assert [len(page["docs"]) for page in pages] == [50, 50, 20]
        assert [one["id"] for page in pages for one in page["docs"]] == made
        assert len((await got(http, "/docs", limit=10))["docs"]) == 10
        for limit in (9, 101, "x"):
            assert (await http.get("/docs", params={"limit": limit})).status_code == 400
    doc = pages[0]["docs"][0]
    assert (doc["date_created"], doc["workspace_id"]) == (NOW.timestamp() * 1000, int(sim.workspace.team_id))
    assert doc["parent"] == {"id": sim.workspace.team_id, "type": 12}


async def test_filters_of_docs() -> None:
    """Id, creator, parent, its type, deleted and archived each narrow the listing; the last two are switches."""
    sim = simulator()
    ws = sim.workspace
    space = ws.create_space("Platform")[0]["space_id"]
    someone = ws.colleagues()[2].id
    plain = ws.create_doc("Plain").id
    inside, old, gone = (ws.create_doc(name, space, by=someone).id for name in ("In a space", "Old", "Gone"))
    ws.archive_doc(old)
    ws.delete_doc(gone)
    wanted: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [plain, inside]),
        ({"id": inside}, [inside]),
        ({"id": "nope"}, []),
        ({"creator": someone}, [inside]),
        ({"parent_id": space}, [inside]),
        ({"parent_type": "SPACE"}, [inside]),
        ({"parent_type": "12"}, [plain]),
        ({"archived": "true"}, [old]),
        ({"deleted": "true"}, [gone]),
    ]
    async with serving(sim) as http:
        for query, ids in wanted:
            assert [one["id"] for one in (await got(http, "/docs", **query))["docs"]] == ids, query
        ws.restore_doc(gone)
        ws.archive_doc(old, archived=False)
        ws.move_doc(gone, ws.team_id)
        assert len((await got(http, "/docs"))["docs"]) == 4
        assert (await got(http, f"/docs/{gone}"))["parent"]["type"] == 12


async def test_pages_nest() -> None:
    """Pages come as a tree, with texts in two formats or without; deleted ones go with those below them."""
    sim = simulator()
    ws = sim.workspace
    doc = ws.create_doc("Handbook")
    top = ws.add_page(doc.id, "Start", "# Hello\n\nRead **this** first.")
    below = ws.add_page(doc.id, "Details", "`code`", parent=top.id)
    last = ws.add_page(doc.id, "End", "Bye")
    path = f"/docs/{doc.id}"
    async with serving(sim) as http:
        listing = await got(http, f"{path}/page_listing")
        assert [one["id"] for one in listing] == [top.id, last.id]
        assert listing[0]["pages"][0] == {
            "id": below.id,
            "doc_id": doc.id,
            "parent_page_id": top.id,
            "workspace_id": int(ws.team_id),
            "name": "Details",
        }
        assert "pages" not in (await got(http, f"{path}/page_listing", max_page_depth=0))[0]
        pages = await got(http, f"{path}/pages")
        assert pages[0]["content"] == "# Hello\n\nRead **this** first."
        assert pages[0]["pages"][0]["content"] == "`code`"
        assert (await got(http, f"{path}/pages", content_format="text/plain"))[0]["content"] == (
            "Hello\n\nRead this first."
        )
        assert (await http.get(f"{path}/pages", params={"content_format": "text/html"})).status_code == 400
        assert "date_edited" not in await got(http, f"{path}/pages/{last.id}")
        assert ws.edit_page(last.id, "Good bye", by=ws.colleagues()[1].id) == []
        edited = await got(http, f"{path}/pages/{last.id}")
        assert (edited["content"], edited["date_edited"]) == ("Good bye", NOW.timestamp() * 1000)
        assert len(edited["contributors"]) == 2
        ws.archive_page(last.id)
        assert (await got(http, f"{path}/pages/{last.id}"))["archived"]
        ws.delete_page(top.id)
        assert [one["id"] for one in await got(http, f"{path}/pages")] == [last.id]
        assert (await http.get(f"{path}/pages/{below.id}")).status_code == 404


async def test_errors_have_their_own_shape() -> None:
    """An unknown doc, another workspace and a bad token are answered as v3 answers, with the limit's headers."""
    sim = simulator()
    async with serving(sim) as http:
        answers = [
            await http.get("/docs/nope"),
            await http.get(str(http.base_url).replace(sim.workspace.team_id, "1") + "docs"),
            await http.get("/docs", headers={"Authorization": "pk_wrong"}),
        ]
    assert [one.status_code for one in answers] == [404, 401, 401]
    for one in answers:
        assert one.json().keys() == {"status", "message", "trace_id", "timestamp"}
        assert one.json()["status"] == one.status_code
        assert "x-ratelimit-limit" in one.headers


@pytest.mark.parametrize("docs", [3, 60])
async def test_cursor_that_loops(docs: int) -> None:
    """With the fault on there is always a next page, and following it never ends."""
    sim = simulator()
    for at in range(docs):
        sim.workspace.create_doc(f"Doc {at}")
    sim.faults.docs_cursor_loops = True
    async with serving(sim) as http:
        cursor = (await got(http, "/docs"))["next_cursor"]
        for _ in range(3):
            assert (await got(http, "/docs", cursor=cursor))["next_cursor"] == cursor
        assert (await http.get("/docs", params={"cursor": "?"})).status_code == 400
