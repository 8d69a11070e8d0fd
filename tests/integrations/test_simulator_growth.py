"""The rest of the simulated workspace: nested folders, the trash, files, time, shares, fields at every level, goals."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.workspace import Workspace

TOKEN = "pk_48000000_TEST"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 15, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


@asynccontextmanager
async def serving(sim: Simulator, token: str = TOKEN) -> AsyncIterator[httpx.AsyncClient]:
    async with sim.serving() as url, httpx.AsyncClient(base_url=url, headers={"Authorization": token}) as http:
        yield http


async def got(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def simulator(clock: Clock | None = None, **options: Any) -> Simulator:
    return Simulator(seed=11, token=options.pop("token", TOKEN), clock=clock or Clock(), **options)


def a_place(ws: Workspace) -> tuple[str, str, str]:
    """A space with a folder and a list in it."""
    space = ws.create_space("Platform")[0]["space_id"]
    folder = ws.create_folder(space, "Runbooks")[0]["folder_id"]
    return space, folder, ws.create_list(folder, "Incidents")[0]["list_id"]


def a_task(ws: Workspace, list_id: str, name: str = "One", **more: Any) -> str:
    return str(ws.create_task(list_id, name, **more)[0]["task_id"])


async def test_folders_nest() -> None:
    """A folder in a folder is listed beside it, names its parent, shows on asking, and goes with it."""
    sim = simulator()
    ws = sim.workspace
    space, outer, _ = a_place(ws)
    inner = ws.create_folder(outer, "Inner")[0]["folder_id"]
    deep = ws.create_list(inner, "Deep")[0]["list_id"]
    async with serving(sim) as http:
        for path in (f"/v2/space/{space}/folder", f"/v2/team/{ws.team_id}/folder"):
            folders = {one["id"]: one for one in (await got(http, path))["folders"]}
            assert folders.keys() == {outer, inner}
            assert folders[inner]["parent_folder"] == outer
            assert [one["id"] for one in folders[inner]["lists"]] == [deep]
            assert "parent_folder" not in folders[outer]
        assert "folders" not in await got(http, f"/v2/folder/{outer}")
        assert (await got(http, f"/v2/folder/{outer}", include_subfolders="true"))["folders"] == [{"id": inner}]
        told = [one["event"] for one in ws.delete_folder(outer)]
        assert told == ["folderDeleted", "spaceUpdated", "listDeleted", "listDeleted"]
        assert (await got(http, f"/v2/space/{space}/folder"))["folders"] == []
        assert ws.restore_folder(outer) == []
        assert len((await got(http, f"/v2/space/{space}/folder"))["folders"]) == 2


async def test_workflows_show_on_one_list_only() -> None:
    """No listing has a list's statuses, and folders embed only lists that are not archived."""
    sim = simulator()
    ws = sim.workspace
    space, folder, list_id = a_place(ws)
    ws.archive_list(ws.create_list(folder, "Old")[0]["list_id"])
    async with serving(sim) as http:
        listed = (await got(http, f"/v2/folder/{folder}/list"))["lists"]
        listed += (await got(http, f"/v2/space/{space}/list"))["lists"]
        embedded = (await got(http, f"/v2/space/{space}/folder"))["folders"][0]["lists"]
        assert [one["id"] for one in embedded] == [list_id]
        assert not any("statuses" in one for one in [*listed, *embedded])
        assert (await got(http, f"/v2/list/{list_id}"))["statuses"]


async def test_what_is_deleted_can_come_back() -> None:
    """Task, list and space come back from the trash with all that was in them; only a task's own date is new."""
    clock = Clock()
    sim = simulator(clock)
    ws = sim.workspace
    space, _, list_id = a_place(ws)
    elsewhere = ws.create_list(space, "Other")[0]["list_id"]
    field = ws.add_field(list_id, "Ticket", "short_text")
    task, guest = a_task(ws, list_id), a_task(ws, elsewhere, "Guest")
    child = a_task(ws, list_id, "Child", parent=task)
    ws.add_to_list(guest, list_id)
    comment = ws.post_comment(child, "Top")[0]["history_items"][0]["after"]
    ws.post_comment(child, "Reply", reply_to=comment)
    ws.track_time(task, 60_000)
    ws.set_custom_field(task, field.id, "NW-1")
    path = f"/v2/list/{list_id}/task"
    query = {"subtasks": "true", "include_timl": "true"}
    async with serving(sim) as http:
        before = await got(http, path, **query)
        replies = await got(http, f"/v2/comment/{comment}/reply")
        clock.forward(minutes=1)
        ws.delete_list(list_id)
        assert not ws.comments
        assert not ws.time_entries
        assert ws.tasks.keys() == {guest}
        assert ws.restore_list(list_id) == []
        assert await got(http, path, **query) == before
        assert await got(http, f"/v2/comment/{comment}/reply") == replies
        ws.delete_task(task)
        assert (await http.get(f"/v2/task/{child}")).status_code == 401
        ws.restore_task(task)
        assert ws.tasks[task].updated > ws.tasks[child].updated
        ws.delete_space(space)
        assert not ws.tasks
        ws.restore_space(space)
        assert {one["id"] for one in (await got(http, path, **query))["tasks"]} == {task, child, guest}
    with pytest.raises(KeyError):
        ws.restore_task(child)
    ws.delete_task(child)
    ws.delete_task(task)
    with pytest.raises(ValueError, match="first"):
        ws.restore_task(child)


async def test_lists_move_silently() -> None:
    """A list goes to another folder with its tasks, and nobody is told."""
    sim = simulator()
    ws = sim.workspace
    _, folder, list_id = a_place(ws)
    other = ws.create_space("Other")[0]["space_id"]
    task = a_task(ws, list_id)
    assert ws.move_list(list_id, other) == []
    async with serving(sim) as http:
        assert (await got(http, f"/v2/folder/{folder}/list"))["lists"] == []
        assert list_id in [one["id"] for one in (await got(http, f"/v2/space/{other}/list"))["lists"]]
        assert (await got(http, f"/v2/task/{task}"))["space"] == {"id": other}


async def test_attachments() -> None:
    """A task shows its files, API v3 pages them, and taking one away tells nobody."""
    sim = simulator()
    ws = sim.workspace
    task = a_task(ws, a_place(ws)[2])
    for at in range(3):
        assert ws.attach(task, f"Report {at}.pdf", size=10 + at) == []
    path = f"/v3/workspaces/{ws.team_id}/attachments/{task}/attachments"
    async with serving(sim) as http:
        shown = (await got(http, f"/v2/task/{task}"))["attachments"]
        first = await got(http, path, limit=2)
        second = await got(http, path, limit=2, cursor=first["next_cursor"])
        ws.detach(task, shown[0]["id"])
        assert len((await got(http, path))["data"]) == 2
    assert first["data"] + second["data"] == shown
    assert "next_cursor" not in second
    assert (shown[1]["title"], shown[1]["mimetype"], shown[1]["size"]) == ("Report 1.pdf", "application/pdf", 11)
    assert isinstance(shown[1]["date"], int)


async def test_time_entries() -> None:
    """By default one sees one's own last 30 days; others' only an admin; a running timer is negative."""
    clock = Clock()
    sim = simulator(clock)
    ws = sim.workspace
    someone, plain = ws.colleagues()[1].id, ws.colleagues()[3].id
    sim = Simulator(seed=11, token={TOKEN: ws.owner.id, "pk_plain": plain}, clock=clock)
    ws = sim.workspace
    list_id = a_place(ws)[2]
    task, other = a_task(ws, list_id), a_task(ws, list_id, "Two")
    old = ws.track_time(task, 60_000)[0]["data"]["interval_id"]
    clock.forward(days=40)
    new = ws.track_time(task, 120_000)[0]["data"]["interval_id"]
    theirs = ws.track_time(other, 30_000, by=someone)[0]["data"]["interval_id"]
    path = f"/v2/team/{ws.team_id}/time_entries"

    async def ids(http: httpx.AsyncClient, **query: Any) -> list[str]:
        return [one["id"] for one in (await got(http, path, **query))["data"]]

    async with serving(sim) as http:
        assert await ids(http) == [new]
        assert await ids(http, start_date=0) == [old, new]
        assert await ids(http, assignee=f"{someone},{ws.owner.id}") == [new, theirs]
        assert await ids(http, assignee=str(someone), task_id=other) == [theirs]
        assert await ids(http, list_id=list_id) == [new]
        assert (await http.get(path, params={"list_id": "1", "space_id": "2"})).status_code == 400
        strange = await http.get(path, params={"assignee": someone}, headers={"Authorization": "pk_plain"})
        assert strange.status_code == 403
        ws.start_timer()
        running = (await got(http, path))["data"][-1]
        assert int(running["duration"]) < 0
        assert "task" not in running
        legacy = (await got(http, f"/v2/task/{task}/time"))["data"]
        assert [(one["time"], len(one["intervals"])) for one in legacy] == [(180_000, 2)]
        assert [one["event"] for one in ws.delete_time_entry(old)] == ["taskTimeTrackedUpdated", "taskUpdated"]
        assert (await got(http, f"/v2/task/{task}"))["time_spent"] == 120_000


async def test_fields_of_every_level() -> None:
    """A list has the fields of all above it; each level lists its own; a field may be limited to a task type."""
    sim = simulator()
    ws = sim.workspace
    space, folder, list_id = a_place(ws)
    bug = ws.add_task_type("Bug")
    places = {ws.team_id: "team", space: "space", folder: "folder", list_id: "list"}
    made = {kind: ws.add_field(place, kind, "short_text").id for place, kind in places.items()}
    limited = ws.add_field(list_id, "Severity", "short_text", applied_to=[bug]).id
    task = a_task(ws, list_id)
    async with serving(sim) as http:
        for place, kind in list(places.items())[:3]:
            fields = (await got(http, f"/v2/{kind}/{place}/field"))["fields"]
            assert [one["id"] for one in fields] == [made[kind]]
        fields = (await got(http, f"/v2/list/{list_id}/field", include_applied_objects="true"))["fields"]
        assert [one["id"] for one in fields] == [*made.values(), limited]
        assert fields[-1]["applied_objects"] == [{"object_type": 19, "object_id": bug}]
        assert "applied_objects" not in fields[0]
        assert len((await got(http, f"/v2/task/{task}"))["custom_fields"]) == 4
        ws.set_task_type(task, bug)
        shown = await got(http, f"/v2/task/{task}")
        assert (shown["custom_item_id"], len(shown["custom_fields"])) == (bug, 5)
        types = (await got(http, f"/v2/team/{ws.team_id}/custom_item"))["custom_items"]
        assert [one["name"] for one in types] == ["Milestone", "Bug"]


async def test_goals_in_folders() -> None:
    """A goal in a folder shows inside it only."""
    sim = simulator()
    ws = sim.workspace
    folder = ws.create_goal_folder("This year")
    inside = ws.create_goal("In", folder_id=folder.id)[0]["goal_id"]
    loose = ws.create_goal("Out")[0]["goal_id"]
    async with serving(sim) as http:
        shown = await got(http, f"/v2/team/{ws.team_id}/goal")
        assert (await got(http, f"/v2/goal/{inside}"))["goal"]["folder_id"] == folder.id
    assert [one["id"] for one in shown["goals"]] == [loose]
    assert [(one["name"], one["goal_count"]) for one in shown["folders"]] == [("This year", 1)]
    assert [one["id"] for one in shown["folders"][0]["goals"]] == [inside]


async def test_shares_members_and_plan() -> None:
    """What is shared explicitly shows to who got it, and who got it shows there; the plan goes with the limit."""
    sim = simulator(limit_per_minute=100)
    ws = sim.workspace
    _, folder, list_id = a_place(ws)
    task = a_task(ws, list_id)
    for one in (folder, list_id, task):
        ws.share(one, ws.owner.id)
    async with serving(sim) as http:
        shared = (await got(http, f"/v2/team/{ws.team_id}/shared"))["shared"]
        assert {kind: [one["id"] for one in rows] for kind, rows in shared.items()} == {
            "tasks": [task],
            "lists": [list_id],
            "folders": [folder],
        }
        for path in (f"/v2/list/{list_id}/member", f"/v2/task/{task}/member"):
            assert [one["id"] for one in (await got(http, path))["members"]] == [ws.owner.id]
        assert (await got(http, f"/v2/team/{ws.team_id}/plan"))["plan_name"] == "Business"


async def test_comments_of_lists_and_silent_changes() -> None:
    """A list's comments are its own; resolving and removing tell nobody; removing takes the replies along."""
    sim = simulator()
    ws = sim.workspace
    list_id = a_place(ws)[2]
    task = a_task(ws, list_id)
    on_list = ws.comment_on_list(list_id, "Hello")
    top = ws.post_comment(task, "Top")[0]["history_items"][0]["after"]
    replies = [ws.post_comment(task, f"Reply {at}", reply_to=top)[0]["history_items"][0]["after"] for at in range(3)]
    async with serving(sim) as http:
        assert [one["id"] for one in (await got(http, f"/v2/list/{list_id}/comment"))["comments"]] == [on_list.id]
        assert ws.edit_comment(on_list.id, "Hi") == ws.resolve_comment(top) == ws.delete_comment(replies[1]) == []
        [shown] = (await got(http, f"/v2/task/{task}/comment"))["comments"]
        assert (shown["resolved"], shown["reply_count"]) == (True, "2")
        ws.delete_comment(top)
        assert (await got(http, f"/v2/task/{task}/comment"))["comments"] == []
        assert (await http.get(f"/v2/comment/{top}/reply")).status_code == 401
    assert ws.comments.keys() == {on_list.id}
