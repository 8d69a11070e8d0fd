"""The simulated workspace tells of its changes in the shapes of ClickUp's official samples, companions included."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

import integrations.clickup
from integrations.clickup.simulator import history
from integrations.clickup.simulator.story import next_step, populate
from integrations.clickup.simulator.workspace import Workspace

Body = dict[str, Any]
SAMPLES = Path(integrations.clickup.__file__).parent / "samples"
TEXT_OR_NULL = {"profilePicture", "color"}
FAN_OUT = {
    "create_space": ["spaceCreated", "listCreated", "spaceUpdated"],
    "create_folder": ["folderCreated", "spaceUpdated"],
    "create_list": ["listCreated", "spaceUpdated"],
    "create_task": ["taskCreated", "taskStatusUpdated"],
    "status": ["taskStatusUpdated", "taskUpdated"],
    "move": ["taskMoved", "taskUpdated", "spaceUpdated"],
    "delete_task": ["taskDeleted"],
    "delete_list": ["listDeleted"],
    "delete_folder": ["folderDeleted", "spaceUpdated", "listDeleted", "listDeleted"],
    "delete_space": ["spaceDeleted", "listDeleted", "listDeleted"],
}


class Clock:
    """A clock that goes one second on each time it is read."""

    def __init__(self) -> None:
        self._at = datetime(2026, 3, 15, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        self._at += timedelta(seconds=1)
        return self._at


def workspace(seed: int = 7) -> Workspace:
    return Workspace(seed=seed, clock=Clock())


def names(bodies: list[Body]) -> list[str]:
    return [body["event"] for body in bodies]


def every_sample() -> Iterator[tuple[str, Body]]:
    """Act through the whole of ClickUp's vocabulary; each sample's file name with the body that matches it."""
    ws = workspace()
    people = [one.id for one in ws.colleagues()]
    made = ws.create_space("Platform")
    yield "space-created", made[0]
    yield "list-created", made[1]
    yield "space-updated", ws.rename_space(made[0]["space_id"], "Platform Knowledge")[0]
    space_id, folderless = made[0]["space_id"], made[1]["list_id"]
    folder = ws.create_folder(space_id, "Runbooks")[0]
    yield "folder-created", folder
    yield "folder-updated", ws.rename_folder(folder["folder_id"], "Playbooks")[0]
    list_id = ws.create_list(folder["folder_id"], "Incidents")[0]["list_id"]
    yield "list-updated", ws.rename_list(list_id, "Published (EU)")[0]
    created = ws.create_task(list_id, "Rotate the broker certs")
    yield "task-created", created[0]
    yield "task-created.companion-task-status-updated", created[1]
    task_id = created[0]["task_id"]
    yield "task-updated-name", ws.rename_task(task_id, "Rotate — étape 1 🔐")[0]
    yield "task-updated-description", ws.describe_task(task_id, "Drain, then swap.")[0]
    field = ws.add_field(list_id, "Audience", "drop_down", options=("On-call", "Everyone"))
    yield "task-updated-custom-field", ws.set_custom_field(task_id, field.id, field.options[1].id)[0]
    status = ws.set_status(task_id, "in progress", by=people[1])
    yield "task-status-updated", status[0]
    yield "task-status-updated.companion-task-updated", status[1]
    yield "task-priority-updated", ws.set_priority(task_id, 2)[0]
    yield "task-assignee-updated", ws.add_assignee(task_id, people[1])[0]
    yield "task-assignee-removed.inferred", ws.remove_assignee(task_id, people[1])[0]
    ws.set_due_date(task_id, 1774267200000, with_time=False)
    yield "task-due-date-updated", ws.set_due_date(task_id, 1774512000000)[0]
    yield "task-tag-updated", ws.add_tag(task_id, "runbook")[0]
    yield "task-moved", ws.move_task(task_id, folderless)[0]
    posted = ws.post_comment(task_id, "Checked on staging.", by=people[1])[0]
    yield "task-comment-posted", posted
    yield "task-comment-updated", ws.edit_comment(posted["history_items"][0]["after"], "Twice.")[0]
    yield "task-time-estimate-updated", ws.set_time_estimate(task_id, 7_200_000)[0]
    yield "task-time-tracked-updated", ws.track_time(task_id, 1_500_000)[0]
    goal = ws.create_goal("Restore within an hour")[0]
    yield "goal-created", goal
    yield "goal-updated", ws.update_goal(goal["goal_id"], name="Restore")[0]
    result = ws.create_key_result(goal["goal_id"], "Drills")[0]
    yield "key-result-created", result
    ids = result["goal_id"], result["key_result_id"]
    yield "key-result-updated", ws.update_key_result(*ids, current=5)[0]
    yield "key-result-deleted", ws.delete_key_result(*ids)[0]
    yield "goal-deleted", ws.delete_goal(goal["goal_id"])[0]
    yield "task-deleted", ws.delete_task(task_id)[0]
    yield "list-deleted", ws.delete_list(folderless)[0]
    yield "folder-deleted", ws.delete_folder(folder["folder_id"])[0]
    yield "space-deleted", ws.delete_space(space_id)[0]


def differences(sample: Any, mine: Any, at: str = "") -> list[str]:
    """Where keys, their order or JSON types differ."""
    if at.rsplit(".", 1)[-1] in TEXT_OR_NULL and isinstance(mine, str | None):
        return []
    if type(sample) is not type(mine):
        return [f"{at}: {type(sample).__name__} became {type(mine).__name__}"]
    if isinstance(sample, dict):
        keys = [] if list(sample) == list(mine) else [f"{at}: {list(sample)} became {list(mine)}"]
        return keys or [one for key in sample for one in differences(sample[key], mine[key], f"{at}.{key}")]
    if isinstance(sample, list):
        empty = [] if bool(sample) == bool(mine) else [f"{at}: one is empty"]
        pairs = zip(sample, mine, strict=False)
        return empty or [one for a, b in pairs for one in differences(a, b, f"{at}[]")]
    return []


@pytest.mark.parametrize(("name", "body"), list(every_sample()))
def test_shape_is_the_samples(name: str, body: Body) -> None:
    """Each of the 28 events has the keys, in order, and the JSON types of the official sample."""
    sample = orjson.loads((SAMPLES / f"{name}.json").read_bytes())
    sent = {**body, "webhook_id": "5d0c3c5e-9c1a-4f0e-8a57-1f2f1f0a9b3d"}
    assert sent["event"] == sample["event"]
    assert differences(sample, sent) == []


def test_every_sample_is_covered() -> None:
    """No official webhook sample is left without a mutation that makes it."""
    files = {one.stem for one in SAMPLES.glob("*.json") if not one.stem.startswith("automation")}
    assert {name for name, _ in every_sample()} == files


def test_fan_out() -> None:
    """An action sends its event and the documented companions, and deleting a container tells of no task."""
    ws = workspace()
    told = {"create_space": ws.create_space("Platform")}
    space_id = told["create_space"][0]["space_id"]
    told["create_folder"] = ws.create_folder(space_id, "Runbooks")
    folder_id = told["create_folder"][0]["folder_id"]
    told["create_list"] = ws.create_list(folder_id, "A")
    list_id = told["create_list"][0]["list_id"]
    other_id = ws.create_list(folder_id, "B")[0]["list_id"]
    told["create_task"] = ws.create_task(list_id, "One")
    task_id = told["create_task"][0]["task_id"]
    ws.create_task(list_id, "Two", parent=task_id)
    told["status"] = ws.set_status(task_id, "done")
    told["move"] = ws.move_task(task_id, other_id)
    told["delete_task"] = ws.delete_task(task_id)
    ws.create_task(list_id, "Three")
    told["delete_folder"] = ws.delete_folder(folder_id)
    folderless = ws.create_list(space_id, "C")[0]["list_id"]
    ws.create_task(folderless, "Four")
    told["delete_list"] = ws.delete_list(folderless)
    ws.create_task(ws.create_list(space_id, "D")[0]["list_id"], "Five")
    told["delete_space"] = ws.delete_space(space_id)
    assert {action: names(bodies) for action, bodies in told.items()} == FAN_OUT
    assert (ws.tasks, ws.lists, ws.folders, ws.spaces) == ({}, {}, {}, {})


def test_companions_share_history_ids() -> None:
    """Every taskUpdated companion carries the very history of its specific event, in a long story."""
    ws = workspace()
    populate(ws)
    chance = ws.random_for("test")
    pairs = 0
    for _ in range(500):
        told = [one for one in next_step(ws, chance) if "history_items" in one]
        ids = [one["history_items"][0]["id"] for one in told]
        assert len(set(ids)) <= max(1, len(ids) - 1)
        pairs += len(ids) > 1
    assert pairs > 100


def test_comment_edit_reuses_history_id() -> None:
    """A comment's edit has the history id and date of its post, as the official samples show."""
    ws = workspace()
    list_id = ws.create_space("Platform")[1]["list_id"]
    task_id = ws.create_task(list_id, "One")[0]["task_id"]
    posted = ws.post_comment(task_id, "First")[0]["history_items"][0]
    edited = ws.edit_comment(posted["after"], "Second")[0]["history_items"][0]
    assert (edited["id"], edited["date"]) == (posted["id"], posted["date"])
    assert edited["comment"]["text_content"] == "Second\n"


def test_mutations_bump_date_updated() -> None:
    """Each edit of a task makes it newer, also the ones without an event."""
    ws = workspace()
    list_id = ws.create_space("Platform")[1]["list_id"]
    task_id, other_id = (ws.create_task(list_id, name)[0]["task_id"] for name in ("One", "Two"))
    seen = [ws.tasks[task_id].updated]
    edits: list[Callable[[], object]] = [
        lambda: ws.rename_task(task_id, "Uno"),
        lambda: ws.add_tag(task_id, "x"),
        lambda: ws.post_comment(task_id, "Hello"),
        lambda: ws.add_dependency(task_id, other_id),
        lambda: ws.archive_task(task_id),
    ]
    for edit in edits:
        edit()
        seen.append(ws.tasks[task_id].updated)
    assert seen == sorted(set(seen))


def test_misuse_is_refused() -> None:
    """A status or option the list does not know, and moving a subtask alone, raise instead of telling nonsense."""
    ws = workspace()
    made = ws.create_space("Platform")
    task_id = ws.create_task(made[1]["list_id"], "One")[0]["task_id"]
    child_id = ws.create_task(made[1]["list_id"], "Two", parent=task_id)[0]["task_id"]
    other_id = ws.create_list(made[0]["space_id"], "Other")[0]["list_id"]
    field = ws.add_field(made[1]["list_id"], "Size", "drop_down", options=("S", "M"))
    with pytest.raises(ValueError, match="no status 'nowhere'"):
        ws.set_status(task_id, "nowhere")
    with pytest.raises(ValueError, match="no option 'XL'"):
        ws.set_custom_field(task_id, field.id, "XL")
    with pytest.raises(ValueError, match="is a subtask"):
        ws.move_task(child_id, other_id)


def test_duration_in_words() -> None:
    """Estimates read as ClickUp writes them."""
    said = [history.duration_text(minutes * 60_000) for minutes in (60, 120, 30, 61, 0)]
    assert said == ["1 hour", "2 hours", "30 minutes", "1 hour 1 minute", "0 minutes"]
