"""Tasks over REST with what hangs on them: comments, checklists, tags, custom fields, dependencies, links.

Dates are strings of epoch milliseconds; a task's `orderindex` is a string of 32 decimals; a drop-down reads back as
the option's index where webhooks give its id; a dependency's `userid` is a string; `project` repeats the folder,
where in webhooks it is the space (OpenAPI examples and observations of real workspaces).
"""

from typing import Any

from integrations.clickup.simulator import history, rendering
from integrations.clickup.simulator.papers import TimeEntry
from integrations.clickup.simulator.records import Checklist, Comment, CustomField, Link, Tag, Task, TaskList
from integrations.clickup.simulator.workspace import Workspace

Json = dict[str, Any]

_SHARED_PARTS = (
    "assignees priority due_date content comments attachments customFields subtasks tags checklists coverimage"
)


def task(workspace: Workspace, one: Task, *, markdown: bool = False) -> Json:
    """A task as in a listing; `time_spent` is absent until there is an entry."""
    home = workspace.lists[one.list_id]
    parent_folder = workspace.folders[home.folder_id]
    stub = {"id": parent_folder.id, "name": parent_folder.name, "hidden": parent_folder.hidden, "access": True}
    people = [history.user_json(workspace.members[each]) for each in one.assignees]
    creator = history.user_json(workspace.members[one.creator])
    tags = workspace.spaces[home.space_id].tags
    shown: Json = {
        "id": one.id,
        "custom_id": None,
        "custom_item_id": one.kind,
        "name": one.name,
        "text_content": one.description,
        "description": one.description,
        "status": rendering.status(one.status),
        "orderindex": f"{one.orderindex}." + "0" * 32,
        "date_created": str(one.created),
        "date_updated": str(one.updated),
        "date_closed": history.text(one.closed),
        "date_done": history.text(one.done),
        "archived": one.archived,
        "creator": {key: value for key, value in creator.items() if key != "initials"},
        "assignees": people,
        "group_assignees": [],
        "watchers": [creator],
        "checklists": [checklist(one, each) for each in one.checklists],
        "tags": [tag(tags[name]) for name in one.tags],
        "parent": one.parent,
        "top_level_parent": _top_parent(workspace, one) if one.parent else None,
        "priority": history.priority_value(one.priority),
        "due_date": history.text(one.due_date),
        "start_date": None,
        "points": None,
        "time_estimate": one.time_estimate,
        "custom_fields": [_field_value(one, each) for each in workspace.fields_of(home.id) if _applies(each, one)],
        "dependencies": _dependencies(workspace, one),
        "linked_tasks": _links(workspace, one),
        "locations": [{"id": each, "name": workspace.lists[each].name} for each in one.also_in],
        "team_id": workspace.team_id,
        "url": f"https://app.clickup.com/t/{one.id}",
        "sharing": _sharing(),
        "permission_level": "create",
        "list": {"id": home.id, "name": home.name, "access": True},
        "project": stub,
        "folder": dict(stub),
        "space": {"id": home.space_id},
    }
    if one.time_spent is not None:
        shown["time_spent"] = one.time_spent
    if markdown:
        shown["markdown_description"] = one.description
    return shown


def checklist(owner: Task, one: Checklist) -> Json:
    """A checklist of a task."""
    items: list[Json] = [
        {
            "id": each.id,
            "name": each.name,
            "orderindex": at,
            "assignee": None,
            "resolved": each.resolved,
            "parent": None,
            "date_created": str(each.created),
            "children": [],
        }
        for at, each in enumerate(one.items)
    ]
    resolved = sum(each.resolved for each in one.items)
    return {
        "id": one.id,
        "task_id": owner.id,
        "name": one.name,
        "date_created": str(one.created),
        "orderindex": owner.checklists.index(one),
        "creator": one.creator,
        "resolved": resolved,
        "unresolved": len(items) - resolved,
        "items": items,
    }


def tag(one: Tag) -> Json:
    """A tag; it has no id."""
    return {
        "name": one.name,
        "tag_fg": one.foreground,
        "tag_bg": one.background,
        "creator": one.creator,
    }


def field(one: CustomField, *, applied: bool = False) -> Json:
    """A custom field's definition, if asked for with the task types it is limited to (19 is a task type; official)."""
    objects = [{"object_type": 19, "object_id": each} for each in one.applied_to]
    scope = {"applied_objects": objects} if applied and objects else {}
    return {
        "id": one.id,
        "name": one.name,
        "type": one.kind,
        "type_config": history.options_config(one, full=False),
        "date_created": str(one.created),
        "hide_from_guests": False,
        **scope,
    }


def time_entry(workspace: Workspace, one: TimeEntry, *, names: bool = False) -> Json:
    """A time entry; `task` is absent without one, and a running timer's duration is negative (official).

    The ids of the place are numbers here (OpenAPI example); its names come if asked for.
    """
    shown: Json = {
        "id": one.id,
        "wid": workspace.team_id,
        "user": history.user_json(workspace.members[one.user]),
        "billable": one.billable,
        "start": str(one.start),
        "end": history.text(one.end),
        "duration": str(-one.start if one.end is None else one.end - one.start),
        "description": one.description,
        "tags": [],
        "source": "clickup",
        "at": str(one.added),
        "task_location": {},
        "task_tags": [],
        "task_url": None,
    }
    if one.task_id is not None:
        owner = workspace.tasks[one.task_id]
        home = workspace.lists[owner.list_id]
        stub = {"id": owner.id, "custom_id": None, "name": owner.name, "custom_type": None}
        shown["task"] = stub | {"status": rendering.status(owner.status)}
        shown["task_location"] = _location(workspace, home, names=names)
        shown["task_url"] = f"https://app.clickup.com/t/{owner.id}"
    return shown


def _location(workspace: Workspace, home: TaskList, *, names: bool) -> Json:
    ids = {"list_id": int(home.id), "folder_id": int(home.folder_id), "space_id": int(home.space_id)}
    if not names:
        return ids
    folder, space = workspace.folders[home.folder_id], workspace.spaces[home.space_id]
    return ids | {"list_name": home.name, "folder_name": folder.name, "space_name": space.name}


def comment(workspace: Workspace, one: Comment) -> Json:
    """A comment; one in a thread has `reply_count` 0."""
    replies = len(workspace.replies_to(one.id)) if one.reply_to is None else 0
    return {
        "id": one.id,
        "comment": history.comment_blocks(one),
        "comment_text": one.text + "\n",
        "user": history.user_json(workspace.members[one.user]),
        "resolved": one.resolved,
        "assignee": None,
        "group_assignee": None,
        "assigned_by": None,
        "reactions": [],
        "date": str(one.date),
        "reply_count": str(replies),
    }


def _applies(definition: CustomField, one: Task) -> bool:
    return not definition.applied_to or one.kind in definition.applied_to


def _field_value(owner: Task, definition: CustomField) -> Json:
    shown = field(definition) | {"required": False}
    if definition.id in owner.values:
        value = owner.values[definition.id]
        index = {each.id: each.orderindex for each in definition.options}
        shown["value"] = index[str(value)] if definition.kind == "drop_down" else value
    return shown


def _top_parent(workspace: Workspace, one: Task) -> str:
    while one.parent is not None:
        one = workspace.tasks[one.parent]
    return one.id


def _living(workspace: Workspace, links: list[Link]) -> list[Link]:
    return [each for each in links if each.other_id in workspace.tasks]


def _dependencies(workspace: Workspace, one: Task) -> list[Json]:
    return [
        {
            "task_id": each.task_id,
            "depends_on": each.other_id,
            "type": 1,
            "date_created": str(each.created),
            "userid": str(each.user),
            "workspace_id": workspace.team_id,
            "chain_id": None,
        }
        for each in _living(workspace, one.dependencies)
    ]


def _links(workspace: Workspace, one: Task) -> list[Json]:
    return [
        {
            "task_id": each.task_id,
            "link_id": each.other_id,
            "date_created": str(each.created),
            "userid": str(each.user),
            "workspace_id": workspace.team_id,
        }
        for each in _living(workspace, one.links)
    ]


def _sharing() -> Json:
    return {
        "public": False,
        "public_share_expires_on": None,
        "public_fields": _SHARED_PARTS.split(),
        "token": None,
        "seo_optimized": False,
    }
