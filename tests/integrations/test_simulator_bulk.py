"""A large workspace is made in no time, repeats by its seed, and is listed without looking at all of it each time."""

from collections import Counter
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import httpx
import pytest

from integrations.clickup.simulator.bulk import found
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.workspace import Workspace

TOKEN = "pk_48000000_TEST"
NOW = datetime(2026, 3, 15, 10, tzinfo=UTC)
EVERY = {"subtasks": "true", "include_closed": "true", "include_timl": "true"}


def simulator(**size: float) -> Simulator:
    sim = Simulator(seed=7, token=TOKEN, clock=lambda: NOW)
    found(sim.workspace, **size)
    return sim


def api(sim: Simulator) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(sim.app)
    return httpx.AsyncClient(transport=transport, base_url="http://simulator/api/v2", headers={"Authorization": TOKEN})


async def walk(http: httpx.AsyncClient, path: str, **query: Any) -> list[str]:
    """All ids of a listing, page by page."""
    ids: list[str] = []
    for page in range(1_000):
        answer = (await http.get(path, params={**EVERY, **query, "page": page})).json()
        ids += [one["id"] for one in answer["tasks"]]
        if answer["last_page"]:
            break
    return ids


def wanted(ws: Workspace, *, by: str, since: int = 0, archived: bool = False) -> list[str]:
    """What a listing of all tasks, oldest first, must give."""
    rows = [one for one in ws.tasks.values() if one.archived == archived and one.updated >= since]
    return [one.id for one in sorted(rows, key=lambda one: (getattr(one, by), one.id))]


def test_it_holds_what_was_asked_for() -> None:
    """Counts are exact, shares are about right, and everything that hides or pages is there."""
    ws = simulator(tasks=5_000, comments=1_000, docs=40, lists=12, spaces=3, entries=50).workspace
    tasks = list(ws.tasks.values())
    assert (len(tasks), len(ws.comments), len(ws.docs), len(ws.lists), len(ws.spaces)) == (5_000, 1_000, 40, 12, 3)
    assert len(ws.time_entries) == 50
    shares = {
        "subtasks": (0.6, sum(one.parent is not None for one in tasks)),
        "closed": (0.2, sum(one.closed is not None for one in tasks)),
        "archived": (0.03, sum(one.archived for one in tasks)),
        "tags": (0.15, sum(bool(one.tags) for one in tasks)),
        "assignees": (0.6, sum(bool(one.assignees) for one in tasks)),
    }
    for name, (share, count) in shares.items():
        assert count == pytest.approx(share * len(tasks), rel=0.3), name
    for name in ("also_in", "dependencies", "links", "checklists", "values", "attachments"):
        assert any(getattr(one, name) for one in tasks), name
    assert max(Counter(one.updated for one in tasks).values()) >= 150
    assert max(len([each for each in ws.comments_on(one.id) if not each.reply_to]) for one in tasks) > 25
    assert any(one.reply_to for one in ws.comments.values())
    assert {one.archived for one in ws.docs.values()} == {one.deleted for one in ws.docs.values()} == {True, False}
    assert any(one.parent_id for one in ws.folders.values())
    assert all(one.created <= one.updated <= ws.now() for one in tasks)


def test_it_repeats() -> None:
    """The same seed and size give the same tasks, comments and docs."""
    one, same = (simulator(tasks=500, comments=100, docs=10).workspace for _ in range(2))
    assert one.tasks == same.tasks
    assert one.comments == same.comments
    assert one.docs == same.docs


async def test_listings_are_right() -> None:
    """Every order and every stretch of dates gives what sorting everything gives, also right after changes."""
    sim = simulator(tasks=3_000, comments=300, docs=0)
    ws = sim.workspace
    path = f"/team/{ws.team_id}/task"
    middle = sorted(one.updated for one in ws.tasks.values())[2_000]
    async with api(sim) as http:
        for _ in range(2):
            for by in ("created", "updated"):
                assert await walk(http, path, order_by=by, reverse="true") == wanted(ws, by=by)
                assert await walk(http, path, order_by=by) == wanted(ws, by=by)[::-1]
                since = await walk(http, path, order_by=by, reverse="true", date_updated_gt=middle)
                assert since == wanted(ws, by=by, since=middle)
            assert set(await walk(http, path, order_by="id")) == set(wanted(ws, by="id"))
            archived = await walk(http, path, archived="true", reverse="true")
            assert archived == wanted(ws, by="created", archived=True)
            ids = list(ws.tasks)
            ws.rename_task(ids[0], "Changed")
            ws.delete_task(ids[100])
            ws.archive_task(ids[200])
            ws.create_task(ws.tasks[ids[0]].list_id, "New")
            ws.delete_list(next(one for one in ws.lists if one != ws.tasks[ids[0]].list_id))


async def test_lists_of_a_large_workspace() -> None:
    """A list shows its own tasks and, with include_timl, those that are also in it."""
    sim = simulator(tasks=2_000, comments=0, docs=0, lists=5, several_lists=0.1)
    ws = sim.workspace
    list_id = next(iter(ws.lists))
    inside = {one.id for one in ws.tasks.values() if list_id in (one.list_id, *one.also_in) and not one.archived}
    async with api(sim) as http:
        ids = await walk(http, f"/list/{list_id}/task")
        assert set(ids) == inside
        assert len(ids) == len(inside)
        assert len(await walk(http, f"/list/{list_id}/task", include_timl="false")) < len(inside)


async def test_a_hundred_thousand_tasks() -> None:
    """They are made in seconds, and a page, a stretch of dates and a task's comments do not take longer for them."""
    began = perf_counter()
    sim = simulator(tasks=100_000, comments=5_000, docs=0)
    made = perf_counter() - began
    ws = sim.workspace
    path = f"/team/{ws.team_id}/task"
    late = sorted(one.updated for one in ws.tasks.values())[-5_000]
    busy = max(ws.tasks, key=lambda one: len(ws.comments_on(one)))
    questions: list[tuple[str, dict[str, Any]]] = [
        (path, {"page": at, "order_by": "updated", "reverse": "true"}) for at in range(10)
    ]
    questions += [(path, {"order_by": "updated", "reverse": "true", "date_updated_gt": late + at}) for at in range(10)]
    questions += [(f"/task/{busy}/comment", {}) for _ in range(10)]
    async with api(sim) as http:
        await http.get(path, params=EVERY)
        began = perf_counter()
        for at, (where, query) in enumerate(questions):
            ws.rename_task(busy, f"Name {at}")
            assert (await http.get(where, params={**EVERY, **query})).status_code == 200
        asked = perf_counter() - began
    assert made < 30
    assert asked < 3
