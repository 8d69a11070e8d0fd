"""What deliveries say by themselves: the recorded ones, their companions, and odd ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from integrations.clickup.saying import preview
from integrations.registry import Preview
from schema.records import Ref
from tests.conftest import SAMPLES, sample
from tests.source import COMMENT, LIST, SPACE, TASK

NAMED = orjson.loads(sample("task-updated-name"))["history_items"][0]["after"]
RECEIVED = datetime(2026, 3, 15, 11, tzinfo=UTC)


def heard(name: str) -> Preview:
    return preview(sample(name), RECEIVED)


def changed(event: str, *items: dict[str, Any], **ids: str) -> Preview:
    dated = [{"date": "1773569109811"} | item for item in items]
    return preview(orjson.dumps({"event": event, "history_items": dated, **(ids or {"task_id": TASK})}), RECEIVED)


def stated(one: Preview) -> list[tuple[str, str, Any]]:
    return [(amendment.path, amendment.kind, amendment.value) for amendment in one.amendments]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("task-status-updated", [("status", "is", "in progress"), ("properties.status_type", "is", "custom")]),
        (
            "task-status-updated.companion-task-updated",
            [("status", "is", "in progress"), ("properties.status_type", "is", "custom")],
        ),
        ("task-priority-updated", [("properties.priority", "is", "high")]),
        (
            "task-updated-name",
            [("title", "is", NAMED)],
        ),
        ("task-due-date-updated", [("properties.due_date", "is", "2026-03-26T08:00:00Z")]),
        ("task-time-estimate-updated", [("properties.time_estimate", "is", 7_200_000)]),
        ("task-assignee-updated", [("properties.assignees", "has", "Tomás Rivera")]),
        ("task-assignee-removed.inferred", [("properties.assignees", "lacks", "Tomás Rivera")]),
        ("task-tag-updated", [("labels", "has", "runbook"), ("properties.tags", "has", "runbook")]),
        (
            "task-moved",
            [
                ("parent", "is", Ref("list", LIST)),
                ("properties.list_id", "is", LIST),
                ("properties.folder_id", "is", None),
                ("properties.space_id", "is", SPACE),
            ],
        ),
        ("task-comment-updated", [("body", "is", "Checked on staging twice, no dropped messages.")]),
        ("list-updated", [("title", "is", "Published articles (EU)")]),
    ],
)
def test_what_the_samples_state(name: str, expected: list[tuple[str, str, Any]]) -> None:
    """All of it, so that reading can wait."""
    one = heard(name)
    assert one.complete
    assert stated(one) == expected
    assert one.read is not None


@pytest.mark.parametrize(
    "name", ["task-created", "task-updated-description", "task-updated-custom-field", "task-time-tracked-updated",
             "task-comment-posted", "list-created", "space-updated", "folder-created", "goal-updated"],
)  # fmt: skip
def test_what_is_not_stated_outright_is_read(name: str) -> None:
    one = heard(name)
    assert (one.complete, one.read is not None) == (False, True)


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.json")))
def test_no_sample_fails(name: str) -> None:
    """A deletion needs no read; what is no delivery of ours says nothing."""
    one = heard(name)
    if name.startswith("automation"):
        assert one == Preview()
    else:
        assert one.ref is not None
        assert (one.read is None) == name.endswith("deleted")


def test_the_edit_of_a_comment_is_as_old_as_its_delivery() -> None:
    """Its date is that of the post, so it tells nothing of the edit; nor does its companion's."""
    edit = heard("task-comment-updated")
    assert (edit.changed_at, edit.shared, edit.ref) == (None, False, Ref("comment", COMMENT))
    assert [one.changed_at for one in edit.amendments] == [RECEIVED]
    companion = changed("taskUpdated", {"field": "comment", "after": COMMENT})
    assert (companion.changed_at, companion.complete, companion.shared) == (None, False, True)
    assert heard("task-status-updated").changed_at is not None


@pytest.mark.parametrize(
    "item",
    [
        {"field": "status"},
        {"field": "status", "after": None},
        {"field": "status", "after": {"status": 7, "type": ["x"]}, "date": "never"},
        {"field": "priority"},
        {"field": "name", "after": None},
        {"field": "assignee_add", "after": "Ada"},
        {"field": "section_moved", "after": {"name": "no id"}},
        {"field": "tag", "after": "urgent"},
        {"field": ["status"]},
        {"field": "surprise", "after": 1},
    ],
)
def test_an_odd_item_states_nothing(item: dict[str, Any]) -> None:
    """It is read, whatever it was."""
    one = changed("taskUpdated", item)
    assert (one.complete, one.amendments, one.read) == (False, (), Ref("task", TASK))


def test_one_unclear_item_makes_the_whole_incomplete() -> None:
    """What is clear is stated all the same."""
    one = changed("taskUpdated", {"field": "name", "after": "New"}, {"field": "content", "after": "{}"})
    assert (one.complete, stated(one)) == (False, [("title", "is", "New")])


def test_what_is_taken_away_is_stated() -> None:
    """A priority, a date, an estimate that is null; a tag that stands before and not after."""
    nothing = changed(
        "taskUpdated",
        {"field": "priority", "before": {"priority": "low"}, "after": None},
        {"field": "due_date", "after": None},
        {"field": "time_estimate", "after": None},
        {"field": "tag", "before": [{"name": "a"}, {"name": "b"}], "after": [{"name": "b"}]},
    )
    assert nothing.complete
    assert stated(nothing) == [
        ("properties.priority", "is", None),
        ("properties.due_date", "is", None),
        ("properties.time_estimate", "is", None),
        ("labels", "has", "b"),
        ("properties.tags", "has", "b"),
        ("labels", "lacks", "a"),
        ("properties.tags", "lacks", "a"),
    ]
