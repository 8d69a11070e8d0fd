"""Comments: as the API lists them, and as only their events tell them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from integrations.clickup.errors import Unavailable
from integrations.clickup.simulator.history import Body
from schema.records import Edge, Ref
from tests.integrations.looking import event, hear, look_over, setting, split


def told(name: str, id_: str, text: str) -> Body:
    """A comment event about task 1, as ClickUp sends it."""
    user = {"id": 1, "username": "Nadia"}
    comment = {"id": id_, "text_content": text, "user": user, "date": "1773569451207"}
    return event(name, task_id="1") | {"history_items": [{"after": id_, "comment": comment}]}


async def test_a_listed_comment_is_first_hand() -> None:
    """A top-level comment is taken as the API lists it now, not as its event told it."""
    async with setting() as at:
        task = at.a_task()
        posted = at.workspace.post_comment(task, "Frist")
        comment = posted[0]["history_items"][0]["after"]
        at.workspace.edit_comment(comment, "First")
        records, _, failed = await at.look(hear(*posted))
    record = records[Ref("comment", comment)]
    assert (record.body, record.insert_only) == ("First", False)
    assert record.parent == Ref("task", task)
    assert failed == {}


async def test_a_reply_is_found_in_its_thread() -> None:
    """A reply, which no listing shows, is read first-hand from the threads there are, with what it replies to."""
    async with setting() as at:
        ws, task = at.workspace, at.a_task()
        ws.post_comment(task, "Alone")
        top = ws.post_comment(task, "Top")[0]["history_items"][0]["after"]
        reply = ws.post_comment(task, "Reply", reply_to=top)
        id_ = reply[0]["history_items"][0]["after"]
        first, _, _ = await at.look(hear(reply[0]))
        assert [path for path in at.asked if "comment" in path] == [f"task/{task}/comment", f"comment/{top}/reply"]
        ws.edit_comment(id_, "Better reply")
        again, _, failed = await at.look(hear(reply[0]))
    assert (first[Ref("comment", id_)].body, first[Ref("comment", id_)].insert_only) == ("Reply", False)
    assert first[Ref("comment", id_)].parent == Ref("task", task)
    assert Edge("reply_to", Ref("comment", id_), Ref("comment", top)) in first[Ref("comment", id_)].edges
    assert again[Ref("comment", id_)].body == "Better reply"
    assert Ref("comment", top) in first
    assert failed == {}


async def test_a_comment_that_is_nowhere_is_told_by_its_event() -> None:
    """One that was deleted since is kept from its event; only an edit may overwrite what is there."""
    async with setting() as at:
        ws, task = at.workspace, at.a_task()
        posted = ws.post_comment(task, "Gone soon")
        id_ = posted[0]["history_items"][0]["after"]
        edit = ws.edit_comment(id_, "Still gone soon")[0]
        ws.delete_comment(id_)
        first, _, _ = await at.look(hear(posted[0]))
        second, _, _ = await at.look(hear(edit))
        both, _, failed = await at.look(hear(edit, posted[0]))
    assert (first[Ref("comment", id_)].body, first[Ref("comment", id_)].insert_only) == ("Gone soon", True)
    assert (second[Ref("comment", id_)].body, second[Ref("comment", id_)].insert_only) == ("Still gone soon", False)
    assert both[Ref("comment", id_)] == second[Ref("comment", id_)]
    assert failed == {}


async def test_an_old_comment_is_found_among_many() -> None:
    """The edit of a comment three pages back is read first-hand, with no more calls than pages."""
    async with setting() as at:
        task = at.a_task()
        posted = [at.workspace.post_comment(task, f"Remark {n}")[0]["history_items"][0]["after"] for n in range(70)]
        edit = at.workspace.edit_comment(posted[9], "Corrected")[0]
        at.known.add(Ref("task", task))
        records, _, _ = await at.look(hear(edit))
    assert at.asked == [f"task/{task}/comment"] * 3
    assert (records[Ref("comment", posted[9])].body, records[Ref("comment", posted[9])].insert_only) == (
        "Corrected",
        False,
    )


async def test_the_task_of_a_comment_is_read_if_unknown() -> None:
    """A comment on a task that nobody has heard of brings the task along."""
    async with setting() as at:
        task = at.a_task()
        records, _, _ = await at.look(hear(at.workspace.post_comment(task, "Here")[0]))
    assert Ref("task", task) in records
    assert sorted(at.asked) == [f"task/{task}", f"task/{task}/comment"]


async def test_a_comment_on_a_task_that_is_gone() -> None:
    """The comments of a deleted task make no comment gone; the task itself is, and what was told is kept."""
    async with setting() as at:
        task = at.a_task()
        posted = at.workspace.post_comment(task, "Last words")[0]
        at.workspace.delete_task(task)
        records, stones, failed = await at.look(hear(posted))
    assert [record.body for record in records.values()] == ["Last words"]
    assert stones in ({}, {Ref("task", task): "gone"})
    assert failed == {}


@pytest.mark.parametrize("page", [{"comments": []}, {"comments": None}, {}])
async def test_a_comment_that_is_not_listed(page: dict[str, Any]) -> None:
    """A comment that the API does not list (any more) is what its events told, the edit before the post."""
    bodies = [told("taskCommentUpdated", "7", "New"), told("taskCommentPosted", "7", "Old")]
    found, outcome = await look_over({"task/1/comment": page, "task/1": {"id": "1"}}, *bodies)
    record = split(found)[0][Ref("comment", "7")]
    assert (record.body, record.insert_only) == ("New", False)
    assert outcome == [None, None]


async def test_comments_that_cannot_be_read() -> None:
    """When a task's comments cannot be read now, the notices of its comments fail and may be tried again."""
    routes = {"task/1/comment": httpx.Response(502), "task/1": {"id": "1"}}
    bodies = [told("taskCommentPosted", "7", "A"), told("taskCommentUpdated", "8", "B")]
    found, outcome = await look_over(routes, *bodies, event("taskUpdated", task_id="1"))
    assert [type(one) for one in outcome] == [Unavailable, Unavailable, type(None)]
    assert set(split(found)[0]) == {Ref("task", "1")}


async def test_one_malformed_comment() -> None:
    """A comment without an id among a task's comments costs none of the others."""
    page = {"comments": [{"id": "7", "comment_text": "Fine"}, {"comment_text": "odd"}]}
    found, outcome = await look_over(
        {"task/1/comment": page, "task/1": {"id": "1"}}, told("taskCommentPosted", "7", "Fine")
    )
    assert split(found)[0][Ref("comment", "7")].insert_only is False
    assert outcome == [None]
