"""A look at the simulated ClickUp: each thing read once, all above it read along, and gone only when that is sure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import respx

from integrations.clickup import reader
from integrations.clickup.client import ClickUp, transport
from integrations.clickup.errors import Gone, TokenRefused, Unavailable
from integrations.clickup.mapping import MalformedObject
from integrations.clickup.simulator.history import Body
from schema.records import Ref
from tests.integrations.looking import API, NOW, event, hear, look_at, look_over, setting, split
from tests.turns import Unmetered


async def test_each_thing_is_read_once() -> None:
    """However many notices speak of a task, its comments, a list or a goal, each is asked for once."""
    async with setting() as at:
        ws, task = at.workspace, at.a_task()
        ws.post_comment(task, "First")
        bodies = [
            *(body for turn in range(20) for body in ws.rename_task(task, f"Name {turn}")),
            *(body for turn in range(5) for body in ws.post_comment(task, f"Remark {turn}")),
            *(body for turn in range(5) for body in ws.rename_list(at.list_id, f"List {turn}")),
            *ws.create_goal("Q1"),
        ]
        goal = bodies[-1]["goal_id"]
        bodies += ws.create_key_result(goal, "Ship") + ws.create_key_result(goal, "Tell")
        records, stones, failed = await at.look(hear(*bodies))
    assert sorted(at.asked) == sorted([f"task/{task}", f"task/{task}/comment", f"list/{at.list_id}", f"goal/{goal}"])
    assert records[Ref("task", task)].title == "Name 19"
    assert records[Ref("list", at.list_id)].title == "List 4"
    assert len([ref for ref in records if ref.type == "comment"]) == 6
    assert len([ref for ref in records if ref.type == "key_result"]) == 2
    assert (stones, failed) == ({}, {})


async def test_what_is_read_is_what_is_now() -> None:
    """A notice that comes late gives the state of now, not that of the notice."""
    async with setting() as at:
        task = at.a_task("First")
        late = at.workspace.rename_task(task, "Second")[0]
        at.workspace.rename_task(task, "Third")
        records, _, _ = await at.look(hear(late))
    assert records[Ref("task", task)].title == "Third"


async def test_nothing_to_look_at() -> None:
    """Without notices nothing is asked and nothing found."""
    async with setting() as at:
        assert await at.look([]) == ({}, {}, {})
    assert (at.asked, at.questions) == ([], [])


async def test_unknown_containers_are_read_along() -> None:
    """All that the knowledge base has no row for is read, level by level up to the workspace, each once."""
    async with setting(known=False) as at:
        first, second = at.a_task(), at.a_task("Two")
        heard = hear(*(event("taskUpdated", task_id=task) for task in (first, second)))
        records, stones, failed = await at.look(heard)
        folder = at.workspace.lists[at.list_id].folder_id
    above = [f"list/{at.list_id}", f"folder/{folder}", f"space/{at.space_id}", "team"]
    assert at.asked[2:] == above
    assert {ref.type for ref in records} == {"task", "list", "folder", "space", "workspace"}
    for record in records.values():
        assert record.parent in records or record.ref.type == "workspace"
    assert (stones, failed) == ({}, {})


async def test_known_containers_are_not_read() -> None:
    """The way up ends at the first containers that are known, with one question."""
    async with setting() as at:
        await at.look(hear(event("taskUpdated", task_id=at.a_task())))
    assert len(at.asked) == 1
    assert at.questions == [{Ref("list", at.list_id)}]


@pytest.mark.parametrize("depth", [1, 2, 7])
async def test_deep_subtasks(depth: int) -> None:
    """A comment on a subtask, seven levels deep as ClickUp allows, leaves nothing above it in the air."""
    async with setting(known=False) as at:
        task = at.a_task()
        for level in range(depth):
            task = at.a_task(f"Level {level}", parent=task)
        body = at.workspace.post_comment(task, "Here")[0]
        records, _, failed = await at.look(hear(body))
    assert failed == {}
    assert [ref for ref, one in records.items() if one.parent not in records] == [
        Ref("workspace", at.workspace.team_id)
    ]


async def test_gone_after_the_token_is_proven() -> None:
    """A task that answers as unknown is gone, once a good answer about the token itself has come."""
    async with setting() as at:
        task = at.a_task()
        heard = hear(event("taskUpdated", task_id=task), event("taskUpdated", task_id="never"))
        at.simulator.faults.gone_ids = {task}
        records, stones, failed = await at.look(heard)
    assert stones == {Ref("task", task): "gone", Ref("task", "never"): "gone"}
    assert (records, failed) == ({}, {})
    assert at.asked[-1] == "user"
    assert at.asked.count("user") == 1


async def test_a_dead_token_makes_nothing_gone() -> None:
    """With a token that ClickUp does not know, every notice fails and no object is gone."""
    async with setting() as at:
        task = at.a_task()
        heard = hear(event("taskUpdated", task_id=task), event("listUpdated", list_id=at.list_id))
        records, stones, failed = await at.look(
            heard, ClickUp(at.http, url=at.url, token="pk_revoked", turns=Unmetered())
        )
    assert (records, stones) == ({}, {})
    assert set(failed) == {one.cause.event_id for one in heard}
    assert all(isinstance(error, TokenRefused) for error in failed.values())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(401, json={"err": "Team not authorized", "ECODE": "OAUTH_027"}), TokenRefused),
        (httpx.Response(401, json={"err": "Oauth token not found", "ECODE": "OAUTH_019"}), TokenRefused),
        (httpx.Response(500), Unavailable),
        (httpx.Response(404), Unavailable),
        (httpx.ConnectError, Unavailable),
    ],
    ids=str,
)
async def test_an_unproven_token_makes_nothing_gone(answer: Any, kind: type[Exception]) -> None:
    """When all ids are refused and the token cannot be proven good, nothing is gone but what was reported deleted."""
    heard = hear(
        event("taskUpdated", task_id="1"), event("taskUpdated", task_id="2"), event("taskDeleted", task_id="2")
    )
    with respx.mock(base_url=API) as router:
        router.get(f"{API}/v2/user").mock(side_effect=itertools.repeat(answer))
        router.get().respond(401, json={"err": "Team not authorized", "ECODE": "OAUTH_027"})
        async with transport() as http:
            found, failed = await look_at(http, heard)
    assert split(found) == ({}, {Ref("task", "2"): "deleted"})
    assert set(failed) == {heard[0].cause.event_id, heard[1].cause.event_id}
    assert all(isinstance(error, kind | TokenRefused) and not isinstance(error, Gone) for error in failed.values())


async def test_an_invisible_container_takes_nothing_down() -> None:
    """A guest sees a list but not its space: the space, which nobody asked for, is not declared gone."""
    task = {"id": "1", "name": "Shared", "list": {"id": "2"}}
    listed = {"id": "2", "name": "Shared list", "folder": {"id": "3", "hidden": True}, "space": {"id": "4"}}
    found, outcome = await look_over({"task/1": task, "list/2": listed}, event("taskUpdated", task_id="1"))
    records, stones = split(found)
    assert set(records) == {Ref("task", "1"), Ref("list", "2")}
    assert outcome == [None]
    assert stones == {}


async def test_a_failing_read_fails_its_own_notices() -> None:
    """One thing that cannot be read fails the notices that need it, in either way, and the rest is found."""
    routes = {
        "task/1": {"id": "1", "name": "Fine"},
        "task/2": httpx.Response(500),
        "task/3": {"name": "without id"},
        "goal/4": {"goal": {"id": "4", "name": "Goal"}},
        "team": {"teams": [{"id": "9", "name": "Northwind"}]},
    }
    bodies = [event("taskUpdated", task_id=id_) for id_ in ("1", "2", "2", "3")]
    found, outcome = await look_over(routes, *bodies, event("goalUpdated", goal_id="4"))
    assert set(split(found)[0]) == {Ref("task", "1"), Ref("goal", "4"), Ref("workspace", "9")}
    kinds = [type(None), Unavailable, Unavailable, MalformedObject, type(None)]
    assert [type(one) for one in outcome] == kinds


async def test_a_container_that_fails_waits() -> None:
    """A list that cannot be read now stops neither the task in it nor its notice."""
    routes = {"task/1": {"id": "1", "list": {"id": "2"}}, "list/2": httpx.Response(503)}
    found, outcome = await look_over(routes, event("taskUpdated", task_id="1"))
    assert split(found) == ({Ref("task", "1"): found.records[0][0]}, {})
    assert outcome == [None]


async def test_one_malformed_key_result() -> None:
    """A key result without an id costs neither its goal nor the goal's other key results."""
    goal = {"goal": {"id": "4", "name": "Q1", "key_results": [{"name": "odd"}, {"id": "5"}]}}
    found, outcome = await look_over({"goal/4": goal}, event("goalUpdated", goal_id="4"))
    assert {Ref("goal", "4"), Ref("key_result", "5")} <= set(split(found)[0])
    assert outcome == [None]


def deletions(ids: Iterable[tuple[str, str]]) -> list[Body]:
    return [event(f"{kind}Deleted", **{f"{kind}_id": id_}) for kind, id_ in ids]


async def test_deletions_need_no_read() -> None:
    """What was reported deleted is a tombstone of when we heard, without a single call."""
    kinds = ("task", "list", "folder", "space", "goal")
    bodies = [*deletions((kind, "1") for kind in kinds), event("keyResultDeleted", goal_id="1", key_result_id="2")]
    async with setting() as at:
        heard = hear(*bodies)
        found, failed = await reader.look(
            heard, client=at.client, workspace_id="9", unknown=at.unknown, now=lambda: NOW - timedelta(days=1)
        )
    assert {stone.ref for stone, _ in found.tombstones} == {*(Ref(kind, "1") for kind in kinds), Ref("key_result", "2")}
    assert {stone.because for stone, _ in found.tombstones} == {"deleted"}
    assert [stone.deleted_at for stone, _ in found.tombstones] == [one.cause.received_at for one in heard]
    assert (at.asked, at.questions, failed) == ([], [], {})


async def test_deleted_beats_gone() -> None:
    """A task that was changed and then deleted has one tombstone, and it says deleted."""
    async with setting() as at:
        task = at.a_task()
        bodies = at.workspace.rename_task(task, "Two") + at.workspace.delete_task(task)
        records, stones, failed = await at.look(hear(*bodies))
    assert stones == {Ref("task", task): "deleted"}
    assert (records, failed) == ({}, {})


async def test_deleting_a_folder() -> None:
    """A folder's deletion, with all that ClickUp tells of it, is its tombstones and the space as it is now."""
    async with setting() as at:
        at.a_task()
        folder = at.workspace.lists[at.list_id].folder_id
        records, stones, failed = await at.look(hear(*at.workspace.delete_folder(folder)))
    assert stones == {Ref("folder", folder): "deleted", Ref("list", at.list_id): "deleted"}
    assert set(records) == {Ref("space", at.space_id)}
    assert failed == {}


async def test_key_results() -> None:
    """A key result is read with its goal, and comes with it below the workspace."""
    async with setting() as at:
        goal = at.workspace.create_goal("Q1")[0]["goal_id"]
        result = at.workspace.create_key_result(goal, "Ship", end=10)[0]["key_result_id"]
        body = at.workspace.update_key_result(goal, result, current=10)[0]
        records, _, failed = await at.look(hear(body))
    assert at.asked == [f"goal/{goal}"]
    assert set(records) == {Ref("goal", goal), Ref("key_result", result)}
    assert records[Ref("key_result", result)].status == "completed"
    assert failed == {}


async def test_the_first_delivery_is_the_cause() -> None:
    """Of several about one thing the one received first, whatever order they come in."""
    async with setting() as at:
        task = at.a_task()
        first, second = hear(event("taskUpdated", task_id=task), event("taskUpdated", task_id=task))
        found, _ = await reader.look(
            [second, first], client=at.client, workspace_id="", unknown=at.unknown, now=lambda: NOW
        )
    assert [cause for record, cause in found.records if record.ref == Ref("task", task)] == [first.cause]
