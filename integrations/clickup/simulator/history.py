"""Webhook bodies and their history items, in the shapes of ClickUp's official samples.

Pure functions from records to JSON-ready dicts; nothing here decides when an event is sent. A body has every key of
the official sample except `webhook_id`, which the delivery adds last, once a hook. Task removals, and all events of
folders, spaces, goals and key results, carry no history at all (official).
"""

import json
from typing import Any

from integrations.clickup.simulator.papers import TimeEntry
from integrations.clickup.simulator.records import (
    Comment,
    CustomField,
    Folder,
    Member,
    Space,
    Status,
    TaskList,
)

Body = dict[str, Any]

PRIORITIES = {1: ("urgent", "#f50000"), 2: ("high", "#f8ae00"), 3: ("normal", "#6fddff"), 4: ("low", "#d8d8d8")}
_COMMENT_NULLS = (
    *("x", "y", "image_y", "image_x", "page", "comment_number"),
    *("page_id", "page_name", "view_id", "view_name", "team"),
)
_REMOVED: Body = {"status": None, "color": "#000000", "type": "removed", "orderindex": -1}


def user_json(member: Member) -> Body:
    """A person as ClickUp writes one: the id is a number, everything else text or null."""
    return {
        "id": member.id,
        "username": member.username,
        "email": member.email,
        "color": member.color,
        "initials": member.initials,
        "profilePicture": member.picture,
    }


def event(name: str, ids: Body, items: list[Body] | None = None, data: Body | None = None) -> Body:
    """A webhook body: keys in the order of the official samples."""
    body: Body = {"event": name}
    if items is not None:
        body["history_items"] = items
    body |= ids
    if data is not None:
        body["data"] = data
    return body


def item(history_id: str, at: int, field: str, parent_id: str, user: Member, **rest: Any) -> Body:
    """One history item. `rest` adds data, before, after and the like; a key not given is absent (official)."""
    return {
        "id": history_id,
        "type": rest.pop("kind", 1),
        "date": str(at),
        "field": field,
        "parent_id": parent_id,
        "data": rest.pop("data", {}),
        "source": None,
        "user": user_json(user),
        **rest,
    }


def status_value(status: Status | None) -> Body:
    """A status inside history; None is the "removed" one that stands before a task's first."""
    if status is None:
        return dict(_REMOVED)
    return {
        "status": status.name,
        "color": status.color,
        "orderindex": status.orderindex,
        "type": status.kind,
    }


def priority_value(priority: int | None) -> Body | None:
    """A priority: null, or an object of strings only, also for its numbers (official)."""
    if priority is None:
        return None
    name, color = PRIORITIES[priority]
    return {"id": str(priority), "priority": name, "color": color, "orderindex": str(priority)}


def section(task_list: TaskList, folder: Folder, space: Space) -> Body:
    """A place in a taskMoved item, where `category` is the folder and `project` the space (official)."""
    return {
        "id": task_list.id,
        "name": task_list.name,
        "category": {"id": folder.id, "name": folder.name, "hidden": folder.hidden},
        "project": {"id": space.id, "name": space.name},
    }


def delta(text: str, block_id: str) -> str:
    """A description as history carries it: a string holding Quill-delta JSON (official)."""
    ops = [{"insert": text}, {"insert": "\n", "attributes": {"block-id": block_id}}]
    return json.dumps({"ops": ops}, ensure_ascii=False, separators=(",", ":"))


def text(milliseconds: int | None) -> str | None:
    """A date or duration as history carries it."""
    return None if milliseconds is None else str(milliseconds)


def interval(entry: TimeEntry) -> Body:
    """A time entry inside history, and in the legacy listing of one task: strings only (official)."""
    return {
        "id": entry.id,
        "start": str(entry.start),
        "end": text(entry.end),
        "time": str((entry.end or entry.start) - entry.start),
        "source": "clickup",
        "date_added": str(entry.added),
    }


def duration_text(milliseconds: int | None) -> str | None:
    """An estimate in words, as `time_estimate_string` has it: "2 hours"."""
    if milliseconds is None:
        return None
    hours, minutes = divmod(milliseconds // 60_000, 60)
    words = [f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in ((hours, "hour"), (minutes, "minute")) if n]
    return " ".join(words) or "0 minutes"


def options_config(field: CustomField, *, full: bool) -> Body:
    """A field's type_config: only drop-downs have one; history writes their options with two keys more."""
    if field.kind != "drop_down":
        return {}
    options: list[Body] = []
    for one in field.options:
        words: Body = {"value": one.name, "type": "text"} if full else {}
        options.append({"id": one.id, "name": one.name, **words, "color": one.color, "orderindex": one.orderindex})
    return {"default": 0, "placeholder": None, "new_drop_down": True, "options": options}


def field_definition(field: CustomField, team_id: str) -> Body:
    """A custom field's definition inside history; note the user's id as a string here (official)."""
    return {
        "id": field.id,
        "name": field.name,
        "type": field.kind,
        "type_config": options_config(field, full=True),
        "values_set": None,
        "userid": str(field.creator),
        "date_created": str(field.created),
        "hide_from_guests": False,
        "team_id": team_id,
        "deleted": False,
        "deleted_by": None,
        "pinned": False,
        "required": False,
        "required_on_subtasks": False,
        "linked_subcategory": None,
    }


def comment_blocks(comment: Comment) -> list[Body]:
    """A comment's text as blocks: the words, then the line's end with its block id."""
    return [
        {"text": comment.text, "attributes": {}},
        {"text": "\n", "attributes": {"block-id": comment.block_id}},
    ]


def comment_value(comment: Comment, user: Member, replies: int) -> Body:
    """The comment object of a comment event, with its run of nulls (official)."""
    return {
        "id": comment.id,
        "date": str(comment.date),
        "parent": comment.task_id,
        "type": 1,
        "comment": comment_blocks(comment),
        "text_content": comment.text + "\n",
        **dict.fromkeys(_COMMENT_NULLS),
        "user": user_json(user),
        "new_thread_count": 0,
        "new_mentioned_thread_count": 0,
        "email_attachments": [],
        "threaded_users": [],
        "threaded_replies": replies,
        "threaded_assignees": 0,
        "threaded_assignees_members": [],
        "threaded_unresolved_count": 0,
        "thread_followers": [user_json(user)],
        "group_thread_followers": [],
        "reactions": [],
        "emails": [],
    }
