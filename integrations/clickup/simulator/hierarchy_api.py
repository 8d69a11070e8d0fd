"""API v2, the reads of what holds the tasks: workspace, spaces, folders, lists, with tags, fields, types and goals.

Archived spaces, folders and lists come only to `archived=true`, and then alone (observed). Folders embed their living
lists; listings never show a list's workflow, only asking for the list does (official). The workspace's list of all
folders is not documented, but there (observed).
"""

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request

from integrations.clickup.simulator import rendering, task_queries, task_rendering
from integrations.clickup.simulator.gate import Gate, Handler
from integrations.clickup.simulator.records import CustomField, Folder, Member
from integrations.clickup.simulator.refusals import found
from integrations.clickup.simulator.workspace import Workspace

Json = dict[str, Any]

_PLANS = ((100, "Business", 3), (1_000, "Business Plus", 5))
"""Limit, name and id; that Enterprise is 4 is official, the other ids are assumed."""


_SHARED_LIST = (
    *("id", "name", "orderindex", "content", "status", "priority"),
    *("assignee", "task_count", "due_date", "start_date", "archived"),
)
_SHARED_FOLDER = ("id", "name", "orderindex", "content", "task_count", "due_date", "archived")


class HierarchyApi:
    """The GET requests; each method answers the route of its name for the calling user."""

    def __init__(self, workspace: Workspace, gate: Gate, *, limit_per_minute: int) -> None:
        self._workspace = workspace
        self._gate = gate
        self._limit = limit_per_minute

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        paths: dict[str, Handler] = {
            "/v2/user": self.user,
            "/v2/team": self.teams,
            "/v2/team/{team_id}/plan": self.plan,
            "/v2/team/{team_id}/space": self.spaces,
            "/v2/team/{team_id}/folder": self.all_folders,
            "/v2/team/{team_id}/shared": self.shared,
            "/v2/team/{team_id}/field": self.team_fields,
            "/v2/team/{team_id}/custom_item": self.task_types,
            "/v2/team/{team_id}/goal": self.goals,
            "/v2/goal/{goal_id}": self.goal,
            "/v2/space/{space_id}": self.space,
            "/v2/space/{space_id}/folder": self.folders,
            "/v2/space/{space_id}/list": self.folderless_lists,
            "/v2/space/{space_id}/tag": self.tags,
            "/v2/space/{space_id}/field": self.space_fields,
            "/v2/folder/{folder_id}": self.folder,
            "/v2/folder/{folder_id}/list": self.folder_lists,
            "/v2/folder/{folder_id}/field": self.folder_fields,
            "/v2/list/{list_id}": self.list,
            "/v2/list/{list_id}/field": self.fields,
            "/v2/list/{list_id}/member": self.members,
        }
        return [("GET", path, handler) for path, handler in paths.items()]

    async def user(self, _request: Request, user_id: int) -> Json:
        """The calling user."""
        return {"user": rendering.user(self._workspace.members[user_id])}

    async def teams(self, _request: Request, _user_id: int) -> Json:
        """The one workspace there is."""
        return {"teams": [rendering.team(self._workspace)]}

    async def plan(self, request: Request, _user_id: int) -> Json:
        """The plan, which goes with the rate limit."""
        self._check_team(request)
        plans = [(name, number) for most, name, number in _PLANS if self._limit <= most]
        name, number = plans[0] if plans else ("Enterprise", 4)
        return {"plan_name": name, "plan_id": number}

    async def spaces(self, request: Request, _user_id: int) -> Json:
        """The spaces of the workspace."""
        self._check_team(request)
        archived = task_queries.switch(request.query_params, "archived")
        shown = [one for one in self._workspace.spaces.values() if one.archived == archived]
        return {"spaces": [rendering.space(self._workspace, one) for one in shown if self._gate.visible(one.id)]}

    async def space(self, request: Request, _user_id: int) -> Json:
        """One space."""
        return rendering.space(self._workspace, found(self._workspace.spaces, request.path_params["space_id"]))

    async def all_folders(self, request: Request, _user_id: int) -> Json:
        """The folders of all spaces."""
        self._check_team(request)
        return self._folders(request, self._workspace.folders.values())

    async def folders(self, request: Request, _user_id: int) -> Json:
        """The folders of a space, also those inside others, without the hidden one."""
        space = found(self._workspace.spaces, request.path_params["space_id"])
        return self._folders(request, (one for one in self._workspace.folders.values() if one.space_id == space.id))

    async def folder(self, request: Request, _user_id: int) -> Json:
        """One folder, if asked for with the ids of the folders in it."""
        folder = self._one_folder(request)
        shown = self._folder(folder)
        if task_queries.switch(request.query_params, "include_subfolders"):
            shown["folders"] = [{"id": one.id} for one in self._workspace.folders_in(folder.id)]
        return shown

    async def folder_lists(self, request: Request, _user_id: int) -> Json:
        """The lists of a folder."""
        return self._lists(self._one_folder(request).id, request)

    async def folderless_lists(self, request: Request, _user_id: int) -> Json:
        """The lists of a space that are in no folder; the folders' lists are not among them."""
        space = found(self._workspace.spaces, request.path_params["space_id"])
        return self._lists(space.hidden_folder_id, request)

    async def list(self, request: Request, _user_id: int) -> Json:
        """One list, with its workflow."""
        one = found(self._workspace.lists, request.path_params["list_id"])
        self._gate.check_visible(one.folder_id, one.space_id)
        return rendering.task_list(self._workspace, one, whole=True)

    async def members(self, request: Request, _user_id: int) -> Json:
        """Who has explicit access to a list; inherited access is not shown (official)."""
        one = found(self._workspace.lists, request.path_params["list_id"])
        return {"members": [rendering.member(each) for each in self._shared_with(one.id)]}

    async def shared(self, request: Request, user_id: int) -> Json:
        """What was shared with the calling user explicitly; lists and folders without their place (OpenAPI)."""
        self._check_team(request)
        ids = [one for one, people in self._workspace.shares.items() if user_id in people and self._gate.visible(one)]
        lists = [self._workspace.lists[one] for one in ids if one in self._workspace.lists]
        folders = [self._workspace.folders[one] for one in ids if one in self._workspace.folders]
        tasks = [self._workspace.tasks[one] for one in ids if one in self._workspace.tasks]
        shown_lists = [rendering.task_list(self._workspace, one) for one in lists]
        shown_folders = [self._folder(one) | {"content": None, "due_date": None} for one in folders]
        return {
            "shared": {
                "tasks": [task_rendering.task(self._workspace, one) for one in tasks],
                "lists": [_only(one | {"task_count": str(one["task_count"])}, _SHARED_LIST) for one in shown_lists],
                "folders": [_only(one, _SHARED_FOLDER) for one in shown_folders],
            }
        }

    async def tags(self, request: Request, _user_id: int) -> Json:
        """The tags of a space, without who made them (OpenAPI)."""
        space = found(self._workspace.spaces, request.path_params["space_id"])
        keys = ("name", "tag_fg", "tag_bg")
        return {"tags": [_only(task_rendering.tag(one), keys) for one in space.tags.values()]}

    async def fields(self, request: Request, _user_id: int) -> Json:
        """The custom fields that tasks of a list have, wherever they were made."""
        one = found(self._workspace.lists, request.path_params["list_id"])
        return self._fields(request, self._workspace.fields_of(one.id))

    async def folder_fields(self, request: Request, _user_id: int) -> Json:
        """The custom fields made in a folder itself (official of the workspace's, assumed of folders and spaces)."""
        return self._made_there(request, self._one_folder(request).field_ids)

    async def space_fields(self, request: Request, _user_id: int) -> Json:
        """The custom fields made in a space itself."""
        return self._made_there(request, found(self._workspace.spaces, request.path_params["space_id"]).field_ids)

    async def team_fields(self, request: Request, _user_id: int) -> Json:
        """The custom fields made in the workspace itself (official)."""
        self._check_team(request)
        return self._made_there(request, self._workspace.field_ids)

    async def task_types(self, request: Request, _user_id: int) -> Json:
        """The custom task types; that the plain one, 0, is not listed is assumed."""
        self._check_team(request)
        rows = [
            {"id": number, "name": name, "name_plural": f"{name}s", "description": ""}
            for number, name in self._workspace.task_types.items()
        ]
        return {"custom_items": rows}

    async def goals(self, request: Request, _user_id: int) -> Json:
        """The goals, those in folders only inside these (assumed); reached ones only with include_completed."""
        self._check_team(request)
        every = task_queries.switch(request.query_params, "include_completed")
        goals = [
            one
            for one in self._workspace.goals.values()
            if (every or one.percent_completed < 100) and self._gate.visible(one.id)
        ]
        folders = [
            rendering.goal_folder(self._workspace, each, [one for one in goals if one.folder_id == each.id])
            for each in self._workspace.goal_folders.values()
        ]
        loose = [rendering.goal(self._workspace, one) for one in goals if one.folder_id is None]
        return {"goals": loose, "folders": folders}

    async def goal(self, request: Request, _user_id: int) -> Json:
        """One goal with its key results."""
        one = found(self._workspace.goals, request.path_params["goal_id"])
        return {"goal": rendering.goal(self._workspace, one, whole=True)}

    def _check_team(self, request: Request) -> None:
        self._gate.check_team(request.path_params["team_id"])

    def _one_folder(self, request: Request) -> Folder:
        folder = found(self._workspace.folders, request.path_params["folder_id"])
        self._gate.check_visible(folder.space_id)
        return folder

    def _shared_with(self, object_id: str) -> Iterable[Member]:
        return (self._workspace.members[one] for one in self._workspace.shares.get(object_id, ()))

    def _folders(self, request: Request, folders: Iterable[Folder]) -> Json:
        archived = task_queries.switch(request.query_params, "archived")
        shown = [one for one in folders if not one.hidden and one.archived == archived]
        return {"folders": [self._folder(one) for one in shown if self._gate.visible(one.id, one.space_id)]}

    def _folder(self, folder: Folder) -> Json:
        shown = rendering.folder(self._workspace, folder)
        shown["lists"] = [one for one in shown["lists"] if self._gate.visible(one["id"])]
        return shown

    def _lists(self, folder_id: str, request: Request) -> Json:
        archived = task_queries.switch(request.query_params, "archived")
        shown = [
            one
            for one in self._workspace.lists_in(folder_id)
            if one.archived == archived and self._gate.visible(one.id)
        ]
        return {"lists": [rendering.task_list(self._workspace, one) for one in shown]}

    def _made_there(self, request: Request, field_ids: Iterable[str]) -> Json:
        return self._fields(request, (self._workspace.fields[one] for one in field_ids))

    def _fields(self, request: Request, fields: Iterable[CustomField]) -> Json:
        applied = task_queries.switch(request.query_params, "include_applied_objects")
        return {"fields": [task_rendering.field(one, applied=applied) for one in fields]}


def _only(one: Json, keys: Iterable[str]) -> Json:
    return {key: one[key] for key in keys}
