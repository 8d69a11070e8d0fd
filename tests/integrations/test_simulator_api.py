"""The simulated API pages, hides, refuses and limits as ClickUp's does, over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.story import populate
from integrations.clickup.simulator.workspace import Workspace

TOKEN = "pk_48000000_TEST"
NOT_AUTHORIZED = {"err": "Team not authorized", "ECODE": "OAUTH_027"}


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 15, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Client:
    """A caller of the API with the owner's token."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ids(self, path: str, **query: Any) -> list[str]:
        return [one["id"] for one in (await self.get(path, **query))["tasks"]]


@asynccontextmanager
async def serving(simulator: Simulator, token: str | None = TOKEN) -> AsyncIterator[Client]:
    headers = {} if token is None else {"Authorization": token}
    async with simulator.serving() as url, httpx.AsyncClient(base_url=f"{url}/v2", headers=headers) as http:
        yield Client(http)


def simulator(clock: Clock | None = None, **options: Any) -> Simulator:
    return Simulator(seed=11, token=options.pop("token", TOKEN), clock=clock or Clock(), **options)


def a_list(ws: Workspace) -> str:
    return str(ws.create_space("Platform")[1]["list_id"])


def a_task(ws: Workspace, list_id: str, name: str = "One", **more: Any) -> str:
    return str(ws.create_task(list_id, name, **more)[0]["task_id"])


async def test_whole_walk_finds_everything() -> None:
    """Walking the hierarchy as an import does finds every space, folder, list, task, comment, reply and goal."""
    sim = simulator()
    ws = sim.workspace
    populate(ws, spaces=2)
    task = next(iter(ws.tasks))
    comment = ws.post_comment(task, "Top")[0]["history_items"][0]["after"]
    ws.post_comment(task, "Answer", reply_to=comment)
    async with serving(sim) as api:
        team = (await api.get("/team"))["teams"][0]["id"]
        seen: dict[str, set[str]] = {"space": set(), "folder": set(), "list": set(), "task": set()}
        for space in (await api.get(f"/team/{team}/space"))["spaces"]:
            seen["space"].add((await api.get(f"/space/{space['id']}"))["id"])
            lists = (await api.get(f"/space/{space['id']}/list"))["lists"]
            assert all(one["folder"]["hidden"] for one in lists)
            for folder in (await api.get(f"/space/{space['id']}/folder"))["folders"]:
                assert not folder["hidden"]
                seen["folder"].add((await api.get(f"/folder/{folder['id']}"))["id"])
                listed = (await api.get(f"/folder/{folder['id']}/list"))["lists"]
                assert listed == folder["lists"]
                lists += listed
            for one in lists:
                seen["list"].add((await api.get(f"/list/{one['id']}"))["id"])
                await api.get(f"/list/{one['id']}/field")
                every = {"subtasks": "true", "include_closed": "true"}
                seen["task"].update(await api.ids(f"/list/{one['id']}/task", **every))
            await api.get(f"/space/{space['id']}/tag")
        goals = (await api.get(f"/team/{team}/goal"))["goals"]
        whole = (await api.get(f"/goal/{goals[0]['id']}"))["goal"]
        top = (await api.get(f"/task/{task}/comment"))["comments"][0]
        replies = (await api.get(f"/comment/{comment}/reply"))["comments"]
        me = (await api.get("/user"))["user"]
    folders = {one.id for one in ws.folders.values() if not one.hidden}
    assert seen == {"space": set(ws.spaces), "folder": folders, "list": set(ws.lists), "task": set(ws.tasks)}
    assert len(whole["key_results"]) == 1
    assert (top["comment_text"], top["reply_count"]) == ("Top\n", "1")
    assert [one["comment_text"] for one in replies] == ["Answer\n"]
    assert me["id"] == ws.owner.id


async def test_odd_types() -> None:
    """Dates and counts have ClickUp's odd types, and a drop-down reads back as the option's index."""
    sim = simulator()
    ws = sim.workspace
    space = ws.create_space("Platform")[0]["space_id"]
    folder_id = ws.create_folder(space, "Runbooks")[0]["folder_id"]
    list_id = ws.create_list(folder_id, "Incidents")[0]["list_id"]
    field = ws.add_field(list_id, "Size", "drop_down", options=("S", "M"))
    task_id, other_id = a_task(ws, list_id), a_task(ws, list_id, "Two")
    ws.set_custom_field(task_id, field.id, field.options[1].id)
    ws.set_priority(task_id, 1)
    ws.add_dependency(task_id, other_id)
    ws.add_checklist(task_id, "Before", ["Backup"])
    async with serving(sim) as api:
        task = await api.get(f"/task/{task_id}")
        other = await api.get(f"/task/{other_id}")
        folder = await api.get(f"/folder/{folder_id}")
        members = (await api.get("/team"))["teams"][0]["members"]
    assert task["date_updated"] == str(ws.tasks[task_id].updated)
    assert task["orderindex"].endswith("." + "0" * 32)
    assert task["custom_fields"][0]["value"] == 1
    assert "value" not in other["custom_fields"][0]
    assert task["priority"] == {"id": "1", "priority": "urgent", "color": "#f50000", "orderindex": "1"}
    assert task["project"] == task["folder"]
    assert task["dependencies"][0]["userid"] == str(ws.owner.id)
    assert task["checklists"][0]["unresolved"] == 1
    assert "time_spent" not in task
    assert "markdown_description" not in task
    assert (folder["task_count"], folder["lists"][0]["task_count"]) == ("2", 2)
    assert any(one["user"]["username"] is None and one["user"]["color"] is None for one in members)


@pytest.mark.parametrize("scope", ["list", "team"])
async def test_task_pages(scope: str) -> None:
    """Tasks come 100 a page whatever limit says, each once, and last_page is true on the last only."""
    sim = simulator()
    list_id = a_list(sim.workspace)
    wanted = [a_task(sim.workspace, list_id, f"Task {at}") for at in range(230)]
    path = f"/list/{list_id}/task" if scope == "list" else f"/team/{sim.workspace.team_id}/task"
    async with serving(sim) as api:
        pages = [await api.get(path, page=page, limit=10, reverse="true") for page in range(4)]
    assert [len(page["tasks"]) for page in pages] == [100, 100, 30, 0]
    assert [page["last_page"] for page in pages] == [False, False, True, True]
    assert [one["id"] for page in pages for one in page["tasks"]] == wanted


async def test_defaults_hide() -> None:
    """Closed, archived, sub- and multi-list tasks come only when asked for, and archived is a switch."""
    sim = simulator()
    ws = sim.workspace
    list_id = a_list(ws)
    elsewhere = ws.create_list(next(iter(ws.spaces)), "Other")[0]["list_id"]
    plain = a_task(ws, list_id)
    sub = a_task(ws, list_id, "Sub", parent=plain)
    closed, archived = a_task(ws, list_id, "Closed"), a_task(ws, list_id, "Archived")
    guest = a_task(ws, elsewhere, "Guest")
    ws.set_status(closed, "closed")
    ws.archive_task(archived)
    ws.add_to_list(guest, list_id)
    path = f"/list/{list_id}/task"
    async with serving(sim) as api:
        assert await api.ids(path) == [plain]
        assert set(await api.ids(path, subtasks="true")) == {plain, sub}
        assert set(await api.ids(path, include_closed="true")) == {plain, closed}
        assert set(await api.ids(path, include_timl="true")) == {plain, guest}
        assert await api.ids(path, archived="true") == [archived]
        team = f"/team/{ws.team_id}/task"
        assert set(await api.ids(team)) == {plain, guest}
        assert await api.ids(team, **{"list_ids[]": [elsewhere]}) == [guest]
        assert await api.ids(team, **{"list_ids[]": ["4711"]}) == []


async def test_archived_containers_are_a_switch() -> None:
    """An archived space, folder or list shows with archived=true and then alone."""
    sim = simulator()
    ws = sim.workspace
    space, other = (ws.create_space(name)[0]["space_id"] for name in ("A", "B"))
    folder, old = (ws.create_folder(space, name)[0]["folder_id"] for name in ("C", "D"))
    listed, gone = (ws.create_list(folder, name)[0]["list_id"] for name in ("E", "F"))
    ws.archive_space(other)
    ws.archive_folder(old)
    ws.archive_list(gone)
    paths = {
        f"/team/{ws.team_id}/space": ("spaces", space, other),
        f"/space/{space}/folder": ("folders", folder, old),
        f"/folder/{folder}/list": ("lists", listed, gone),
    }
    async with serving(sim) as api:
        for path, (key, usual, archived) in paths.items():
            assert [one["id"] for one in (await api.get(path))[key]] == [usual]
            assert [one["id"] for one in (await api.get(path, archived="true"))[key]] == [archived]


async def test_order_and_inclusive_dates() -> None:
    """order_by=updated is newest first, reverse oldest first, and both date bounds include the boundary."""
    clock = Clock()
    sim = simulator(clock)
    list_id = a_list(sim.workspace)
    tasks = []
    for at in range(4):
        tasks.append(a_task(sim.workspace, list_id, f"Task {at}"))
        clock.forward(1)
    times = [sim.workspace.tasks[one].updated for one in tasks]
    path = f"/list/{list_id}/task"
    async with serving(sim) as api:
        assert await api.ids(path, order_by="updated") == tasks[::-1]
        assert await api.ids(path, order_by="updated", reverse="true") == tasks
        assert await api.ids(path, date_updated_gt=times[2], reverse="true") == tasks[2:]
        assert await api.ids(path, date_updated_lt=times[1], reverse="true") == tasks[:2]
        assert (await api.http.get(path, params={"order_by": "wrong"})).status_code == 500


async def test_task_filters() -> None:
    """Status, tag, assignee, parent, folder and due date each narrow a listing; a page that is no number is 400."""
    sim = simulator()
    ws = sim.workspace
    list_id = a_list(ws)
    plain, wanted = a_task(ws, list_id), a_task(ws, list_id, "Two")
    child = a_task(ws, list_id, "Sub", parent=plain)
    someone = ws.colleagues()[1].id
    ws.set_status(wanted, "in review")
    ws.add_tag(wanted, "runbook")
    ws.add_assignee(wanted, someone)
    ws.set_due_date(wanted, 1774512000000)
    team = f"/team/{ws.team_id}/task"
    folder = ws.lists[list_id].folder_id
    async with serving(sim) as api:
        filters: list[dict[str, Any]] = [
            {"statuses[]": "in review"},
            {"tags[]": "runbook"},
            {"assignees[]": someone},
            {"due_date_gt": 1774512000000, "due_date_lt": 1774512000000},
        ]
        for query in filters:
            assert await api.ids(team, **query) == [wanted], query
        assert await api.ids(team, parent=plain) == [child]
        assert set(await api.ids(team, **{"project_ids[]": folder})) == {plain, wanted}
        assert await api.ids(team, **{"space_ids[]": "1"}) == []
        assert (await api.http.get(team, params={"page": "x"})).status_code == 400


async def test_comment_pages_need_both_halves_of_the_cursor() -> None:
    """Comments come newest first, 25 a page; start without start_id gives the first page again."""
    sim = simulator()
    ws = sim.workspace
    task_id = a_task(ws, a_list(ws))
    posted = [ws.post_comment(task_id, f"Remark {at}")[0]["history_items"][0]["after"] for at in range(60)]
    ws.post_comment(task_id, "Reply", reply_to=posted[0])
    path, seen = f"/task/{task_id}/comment", list[str]()
    async with serving(sim) as api:
        page = (await api.get(path))["comments"]
        first, sizes = page, list[int]()
        while page:
            sizes.append(len(page))
            seen += [one["id"] for one in page]
            page = (await api.get(path, start=page[-1]["date"], start_id=page[-1]["id"]))["comments"]
        assert (await api.get(path, start=first[-1]["date"]))["comments"] == first
    assert sizes == [25, 25, 10]
    assert seen == posted[::-1]


@pytest.mark.parametrize(
    ("token", "code"),
    [(None, "OAUTH_017"), ("pk_wrong", "OAUTH_019"), (f"Bearer {TOKEN}", "OAUTH_019"), ("x", "OAUTH_019")],
)
async def test_bad_tokens(token: str | None, code: str) -> None:
    """A missing or unknown token, and a personal token behind Bearer, are 401 with ClickUp's codes."""
    async with serving(simulator(), token) as api:
        answer = await api.http.get("/user")
    assert (answer.status_code, answer.json()["ECODE"]) == (401, code)
    assert "x-ratelimit-remaining" in answer.headers


async def test_oauth_token_acts_for_its_user() -> None:
    """An OAuth token works behind Bearer, for the user it is mapped to."""
    sim = simulator()
    someone = sim.workspace.colleagues()[2].id
    sim = simulator(token={"oauth-token": someone})
    async with serving(sim, "Bearer oauth-token") as api:
        assert (await api.get("/user"))["user"]["id"] == someone


async def test_unknown_ids_are_401() -> None:
    """An id that never was, or was deleted, answers 401 OAUTH_027 and not 404."""
    sim = simulator()
    ws = sim.workspace
    list_id = a_list(ws)
    task_id = a_task(ws, list_id)
    ws.delete_task(task_id)
    async with serving(sim) as api:
        for path in (f"/task/{task_id}", "/task/nope", "/list/1", "/space/1", "/folder/1", "/goal/1", "/team/1/space"):
            answer = await api.http.get(path)
            assert (answer.status_code, answer.json()) == (401, NOT_AUTHORIZED), path


async def test_rate_limit() -> None:
    """Headers count down on successes, the request over the limit is 429, and a minute later all is well."""
    clock = Clock()
    async with serving(simulator(clock, limit_per_minute=3)) as api:
        answers = [await api.http.get("/user") for _ in range(4)]
        clock.forward(61)
        after = await api.http.get("/user")
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert [one.headers["x-ratelimit-remaining"] for one in answers] == ["2", "1", "0", "0"]
    reset = str(int(datetime(2026, 3, 15, 10, 1, tzinfo=UTC).timestamp()))
    assert {(one.headers["x-ratelimit-limit"], one.headers["x-ratelimit-reset"]) for one in answers} == {("3", reset)}
    assert answers[3].json() == {"err": "Rate limit reached", "ECODE": "APP_002"}
    assert after.status_code == 200


async def test_api_faults() -> None:
    """Each API knob does what it says, and turning it back mends the service."""
    clock, faults = Clock(), Faults()
    sim = simulator(clock, faults=faults)
    ws = sim.workspace
    list_id = a_list(ws)
    task_id = a_task(ws, list_id)
    async with serving(sim) as api:
        faults.api_error_rate = 1.0
        assert (await api.http.get("/user")).status_code in (500, 502)
        faults.api_error_rate, faults.gateway_error_rate = 0.0, 1.0
        page = await api.http.get("/user")
        assert page.headers["content-type"].startswith("text/html")
        faults.gateway_error_rate = 0.0
        faults.rate_limited_until = clock() + timedelta(seconds=5)
        assert (await api.http.get("/user")).status_code == 429
        clock.forward(5)
        faults.malformed_ids.add(task_id)
        assert (await api.get(f"/list/{list_id}/task"))["tasks"][0]["name"] is None
        faults.gone_ids.add(task_id)
        assert (await api.http.get(f"/task/{task_id}")).json() == NOT_AUTHORIZED
        assert await api.ids(f"/list/{list_id}/task") == []
        faults.gone_ids = {list_id}
        assert (await api.http.get(f"/task/{task_id}")).status_code == 401
        faults.gone_ids, faults.malformed_ids = set(), set()
        assert (await api.get(f"/task/{task_id}"))["name"] == "One"


async def test_webhook_registration() -> None:
    """A hook is made, listed to its maker only, not made twice, revived by PUT, and deleted."""
    sim = simulator()
    ws = sim.workspace
    others = ws.add_webhook("https://example.com/other", userid=ws.colleagues()[1].id)
    path = f"/team/{ws.team_id}/webhook"
    wanted = {"endpoint": "https://example.com/hook", "events": ["*"]}
    async with serving(sim) as api:
        made = (await api.http.post(path, json=wanted)).json()
        hook = ws.webhooks[made["id"]]
        again = await api.http.post(path, json=wanted)
        scoped = await api.http.post(path, json=wanted | {"space_id": 12345})
        assert (await api.get(path))["webhooks"] == [made["webhook"]]
        for _ in range(100):
            hook.event_lost()
        assert (await api.get(path))["webhooks"][0]["health"] == {"status": "suspended", "fail_count": 100}
        revived = await api.http.put(f"/webhook/{hook.id}", json={**wanted, "events": "*", "status": "active"})
        strange = await api.http.put(f"/webhook/{others.id}", json=wanted)
        deleted = await api.http.delete(f"/webhook/{hook.id}")
        assert (await api.get(path))["webhooks"] == []
        assert (await api.http.post(path, content=b"{")).status_code == 400
    secret = made["webhook"]["secret"]
    assert len(secret) == 64
    assert secret.isalnum()
    assert secret.upper() == secret
    assert made["webhook"]["team_id"] == int(ws.team_id)
    assert (again.status_code, again.json()["ECODE"]) == (400, "OAUTH_171")
    assert scoped.json() == strange.json() == NOT_AUTHORIZED
    assert revived.json()["webhook"]["health"] == {"status": "active", "fail_count": 0}
    assert deleted.json() == {}


async def test_unknown_route() -> None:
    """A path that the API does not have answers JSON, not the framework's text."""
    async with serving(simulator()) as api:
        answer = await api.http.get("/nothing")
    assert (answer.status_code, answer.json()["ECODE"]) == (404, "APP_001")
