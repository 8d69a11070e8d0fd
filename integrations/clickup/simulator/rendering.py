"""REST objects as ClickUp's API v2 writes them, odd types and all: users, the hierarchy, goals, webhooks.

Pure functions from the workspace to JSON-ready dicts. Dates are strings of epoch milliseconds, ids are strings
except users', a folder's `task_count` is a string where a list's is a number, and a webhook's `team_id` is a number
where everybody else's is a string (OpenAPI examples). Tasks and what hangs on them: `task_rendering.py`.
"""

from typing import Any

from integrations.clickup.simulator import history
from integrations.clickup.simulator.papers import Goal, GoalFolder, KeyResult
from integrations.clickup.simulator.records import (
    Folder,
    Member,
    Space,
    Status,
    TaskList,
    Webhook,
)
from integrations.clickup.simulator.workspace import Workspace

Json = dict[str, Any]

_FEATURES = (
    "time_tracking tags time_estimates checklists custom_fields remap_dependencies dependency_warning portfolios"
)


def user(member: Member) -> Json:
    """The answer of GET /user; `global_font_support` and the time zone are as in the OpenAPI example."""
    extra = {"week_start_day": 1, "global_font_support": True, "timezone": "Europe/Berlin"}
    return history.user_json(member) | extra


def team(workspace: Workspace) -> Json:
    """The workspace with all its members, also the invited ones that have no name yet."""
    members = [{"user": history.user_json(one) | {"role": one.role}} for one in workspace.members.values()]
    return {
        "id": workspace.team_id,
        "name": workspace.name,
        "color": "#536cfe",
        "avatar": f"https://attachments.example.com/avatars/{workspace.team_id}.jpg",
        "members": members,
    }


def member(one: Member) -> Json:
    """Somebody with explicit access, as a list or task shows them; the empty profile is as in the OpenAPI example."""
    kinds = ("verified_ambassador", "verified_consultant", "top_tier_user")
    profile = dict.fromkeys(("display_profile", *kinds, *(f"viewed_{kind}" for kind in kinds)))
    return history.user_json(one) | {"profileInfo": profile}


def status(one: Status) -> Json:
    """A column of a workflow."""
    return {"id": one.id, **history.status_value(one)}


def space(workspace: Workspace, one: Space) -> Json:
    """A space; only a private one lists members."""
    members = [{"user": history.user_json(person)} for person in workspace.colleagues()] if one.private else []
    due_dates = {"start_date": True, "remap_due_dates": False, "remap_closed_due_date": False}
    return {
        "id": one.id,
        "name": one.name,
        "private": one.private,
        "color": None,
        "avatar": None,
        "admin_can_manage": True,
        "archived": one.archived,
        "members": members,
        "statuses": [status(each) for each in one.statuses],
        "multiple_assignees": True,
        "features": {
            "due_dates": {"enabled": True, **due_dates},
            **{name: {"enabled": True} for name in _FEATURES.split()},
        },
    }


def folder(workspace: Workspace, one: Folder) -> Json:
    """A folder with its living lists embedded (observed; the OpenAPI types them as strings), without workflows.

    `parent_folder` is there only on a folder inside another one (OpenAPI).
    """
    lists = [each for each in workspace.lists_in(one.id) if not each.archived]
    count = sum(workspace.task_count(each.id) for each in lists)
    parent = {} if one.parent_id is None else {"parent_folder": one.parent_id}
    return {
        "id": one.id,
        "name": one.name,
        "orderindex": one.orderindex,
        "override_statuses": False,
        "hidden": one.hidden,
        "space": _space_stub(workspace, one.space_id),
        "task_count": str(count),
        "archived": one.archived,
        "lists": [task_list(workspace, each) for each in lists],
        **parent,
    }


def task_list(workspace: Workspace, one: TaskList, *, whole: bool = False) -> Json:
    """A list; asked for by its id it is `whole`, with workflow and inbound address."""
    home = workspace.folders[one.folder_id]
    shown: Json = {
        "id": one.id,
        "name": one.name,
        "orderindex": one.orderindex,
        "content": one.content,
        "status": None,
        "priority": None,
        "assignee": None,
        "task_count": workspace.task_count(one.id),
        "due_date": None,
        "start_date": None,
        "folder": {"id": home.id, "name": home.name, "hidden": home.hidden, "access": True},
        "space": _space_stub(workspace, one.space_id),
        "archived": one.archived,
        "override_statuses": one.statuses is not None,
        "permission_level": "create",
    }
    if whole:
        statuses = [status(each) for each in workspace.statuses_of(one.id)]
        address = f"a.t.{one.id}@tasks.example.com"
        shown |= {"due_date_time": False, "inbound_address": address, "statuses": statuses}
    return shown


def goal(workspace: Workspace, one: Goal, *, whole: bool = False) -> Json:
    """A goal; asked for by its id it is `whole`: with its key results, but without its last change (OpenAPI)."""
    creator = workspace.members[one.creator]
    members = [{**history.user_json(creator), "permission_level": "edit", "isCreator": True}]
    shown: Json = {
        "id": one.id,
        "pretty_id": str(one.number),
        "name": one.name,
        "team_id": workspace.team_id,
        "creator": one.creator,
        "color": "#32a852",
        "date_created": str(one.created),
        "start_date": None,
        "due_date": history.text(one.due_date),
        "description": one.description,
        "private": False,
        "archived": one.archived,
        "multiple_owners": True,
        "folder_id": one.folder_id,
        "owners": [],
        "members": members,
        "percent_completed": one.percent_completed,
    }
    if whole:
        url = f"https://app.clickup.com/{workspace.team_id}/goals/{one.number}"
        results = [key_result(each) for each in one.key_results.values()]
        return shown | {"key_results": results, "history": [], "pretty_url": url}
    return shown | {
        "owner": None,
        "editor_token": f"goal:{one.id}:{one.created}",
        "date_updated": str(one.updated),
        "last_update": str(one.updated),
        "pinned": False,
        "key_result_count": len(one.key_results),
        "group_members": [],
    }


def goal_folder(workspace: Workspace, one: GoalFolder, goals: list[Goal]) -> Json:
    """A folder of goals with those in it."""
    creator = workspace.members[one.creator]
    member = {"permission_level": "edit", "date_added": one.created, "added_by": one.creator}
    return {
        "id": one.id,
        "name": one.name,
        "team_id": workspace.team_id,
        "private": False,
        "date_created": str(one.created),
        "creator": one.creator,
        "goal_count": len(goals),
        "members": [history.user_json(creator) | member],
        "goals": [goal(workspace, each) | {"folder_access": True} for each in goals],
    }


def key_result(one: KeyResult) -> Json:
    """A target of a goal."""
    return {
        "id": one.id,
        "goal_id": one.goal_id,
        "name": one.name,
        "type": "number",
        "unit": one.unit,
        "creator": one.creator,
        "date_created": str(one.created),
        "goal_pretty_id": None,
        "percent_completed": round(100 * (one.current - one.start) / max(one.end - one.start, 1)),
        "completed": one.current >= one.end,
        "steps_start": one.start,
        "steps_current": one.current,
        "steps_end": one.end,
        "task_ids": [],
        "subcategory_ids": [],
        "owners": [],
        "last_action": None,
    }


def webhook(workspace: Workspace, one: Webhook) -> Json:
    """A webhook with its secret, which every answer about webhooks carries (OpenAPI examples)."""
    return {
        "id": one.id,
        "userid": one.userid,
        "team_id": int(workspace.team_id),
        "endpoint": one.endpoint,
        "client_id": one.client_id,
        "events": list(one.events),
        "task_id": one.scope.task_id,
        "list_id": one.scope.list_id,
        "folder_id": one.scope.folder_id,
        "space_id": one.scope.space_id,
        "health": {"status": one.status, "fail_count": one.fail_count},
        "secret": one.secret,
    }


def _space_stub(workspace: Workspace, space_id: str) -> Json:
    return {"id": space_id, "name": workspace.spaces[space_id].name, "access": True}
