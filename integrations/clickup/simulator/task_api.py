"""API v2, the reads of tasks and of what hangs on them: comments, replies, members, time.

What listings hide and how they page is in `task_queries.py` and `task_pages.py`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.requests import Request

from integrations.clickup.simulator import doc_rendering, history, rendering, task_queries, task_rendering
from integrations.clickup.simulator.gate import Gate, Handler
from integrations.clickup.simulator.papers import TimeEntry
from integrations.clickup.simulator.records import Comment, Task
from integrations.clickup.simulator.refusals import RefusalError, found
from integrations.clickup.simulator.task_pages import TaskPages
from integrations.clickup.simulator.workspace import Workspace

Json = dict[str, Any]

THIRTY_DAYS = 30 * 86_400_000


class TaskApi:
    """The GET requests; each method answers the route of its name for the calling user."""

    def __init__(self, workspace: Workspace, gate: Gate) -> None:
        self._workspace = workspace
        self._gate = gate
        self._pages = TaskPages(workspace)

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        paths: dict[str, Handler] = {
            "/v2/list/{list_id}/task": self.list_tasks,
            "/v2/list/{list_id}/comment": self.list_comments,
            "/v2/team/{team_id}/task": self.team_tasks,
            "/v2/team/{team_id}/time_entries": self.time_entries,
            "/v2/task/{task_id}": self.task,
            "/v2/task/{task_id}/comment": self.comments,
            "/v2/task/{task_id}/member": self.members,
            "/v2/task/{task_id}/time": self.time,
            "/v2/comment/{comment_id}/reply": self.replies,
        }
        return [("GET", path, handler) for path, handler in paths.items()]

    async def list_tasks(self, request: Request, _user_id: int) -> Json:
        """A page of the tasks of a list."""
        one = found(self._workspace.lists, request.path_params["list_id"])
        self._gate.check_visible(one.folder_id, one.space_id)
        return self._shown(request, *self._pages.in_list(one.id, request.query_params, self._hidden()))

    async def team_tasks(self, request: Request, _user_id: int) -> Json:
        """A page of the tasks of the workspace; `archived`, include_timl and last_page work too (observed)."""
        self._gate.check_team(request.path_params["team_id"])
        return self._shown(request, *self._pages.in_team(request.query_params, self._hidden()))

    async def task(self, request: Request, _user_id: int) -> Json:
        """One task with its attachments and, if asked for, its subtasks."""
        one, query = self._task(request), request.query_params
        markdown = task_queries.switch(query, "include_markdown_description")
        shown = task_rendering.task(self._workspace, one, markdown=markdown)
        shown["attachments"] = [
            doc_rendering.attachment(
                each,
                one.id,
                team_id=self._workspace.team_id,
                user=history.user_json(self._workspace.members[each.user]),
            )
            for each in one.attachments
        ]
        if task_queries.switch(query, "include_subtasks"):
            subtasks = [each for each in self._workspace.subtasks_of(one.id) if self._gate.visible(each.id)]
            shown["subtasks"] = [task_rendering.task(self._workspace, each) for each in subtasks]
        return shown

    async def members(self, request: Request, _user_id: int) -> Json:
        """Who has explicit access to a task; inherited access is not shown (official)."""
        people = self._workspace.shares.get(self._task(request).id, ())
        return {"members": [rendering.member(self._workspace.members[one]) for one in people]}

    async def comments(self, request: Request, _user_id: int) -> Json:
        """A page of a task's comments, without the replies in their threads."""
        return self._comments(request, self._task(request).id)

    async def list_comments(self, request: Request, _user_id: int) -> Json:
        """A page of a list's own comments."""
        return self._comments(request, found(self._workspace.lists, request.path_params["list_id"]).id)

    async def replies(self, request: Request, _user_id: int) -> Json:
        """The replies to a comment, without the comment itself (official); oldest first, all at once (assumed)."""
        parent = found(self._workspace.comments, request.path_params["comment_id"])
        self._gate.check_visible(parent.task_id)
        return self._rendered(self._workspace.replies_to(parent.id))

    async def time(self, request: Request, _user_id: int) -> Json:
        """The time on a task, grouped by who logged it."""
        groups: dict[int, list[TimeEntry]] = {}
        for one in self._workspace.entries_on(self._task(request).id):
            if one.end is not None:
                groups.setdefault(one.user, []).append(one)
        rows = [
            {
                "user": history.user_json(self._workspace.members[user]),
                "time": sum((one.end or one.start) - one.start for one in entries),
                "intervals": [history.interval(one) for one in entries],
            }
            for user, entries in groups.items()
        ]
        return {"data": rows}

    async def time_entries(self, request: Request, user_id: int) -> Json:
        """Time entries: by default the calling user's of the last 30 days (official); another's is for admins.

        An entry counts by its start (assumed). One of space, folder, list and task narrows it (official); how more
        than one, or another's as a plain member, is refused is assumed.
        """
        self._gate.check_team(request.path_params["team_id"])
        names = task_queries.switch(request.query_params, "include_location_names")
        entries = self._entries(request, user_id)
        return {"data": [task_rendering.time_entry(self._workspace, one, names=names) for one in entries]}

    def _entries(self, request: Request, user_id: int) -> Iterator[TimeEntry]:
        query, now = request.query_params, self._workspace.now()
        first = task_queries.number(query, "start_date", now - THIRTY_DAYS)
        last = task_queries.number(query, "end_date", now)
        users = {each for each in query.get("assignee", "").split(",") if each} or {str(user_id)}
        if users != {str(user_id)} and self._workspace.members[user_id].role > 2:
            raise RefusalError(403, "You do not have permission to view other users' time entries", "TIMEENTRY_070")
        places = [
            (level, query[f"{level}_id"]) for level in ("space", "folder", "list", "task") if f"{level}_id" in query
        ]
        if len(places) > 1:
            raise RefusalError(400, "Only one location may be given", "TIMEENTRY_059")
        for one in self._workspace.time_entries.values():
            here = all(self._lies_in(one, level, wanted) for level, wanted in places)
            if here and first <= one.start <= last and str(one.user) in users:
                yield one

    def _lies_in(self, entry: TimeEntry, level: str, wanted: str) -> bool:
        if entry.task_id is None:
            return False
        home = self._workspace.lists[self._workspace.tasks[entry.task_id].list_id]
        ids = {"task": entry.task_id, "list": home.id, "folder": home.folder_id, "space": home.space_id}
        return ids[level] == wanted

    def _task(self, request: Request) -> Task:
        one = found(self._workspace.tasks, request.path_params["task_id"])
        self._gate.check_visible(*self._containers(one))
        return one

    def _containers(self, task: Task) -> tuple[str, str, str]:
        home = self._workspace.lists[task.list_id]
        return home.id, home.folder_id, home.space_id

    def _hidden(self) -> task_queries.Test | None:
        if not self._gate.hides:
            return None
        return lambda one: not self._gate.visible(one.id, *self._containers(one))

    def _comments(self, request: Request, parent_id: str) -> Json:
        comments = self._workspace.comments_on(parent_id)
        top = [one for one in comments if one.reply_to is None and self._gate.visible(one.id)]
        return self._rendered(task_queries.page_of_comments(top, request.query_params))

    def _rendered(self, comments: Iterable[Comment]) -> Json:
        return {"comments": [task_rendering.comment(self._workspace, one) for one in comments]}

    def _shown(self, request: Request, page: list[Task], last: bool) -> Json:
        markdown = task_queries.switch(request.query_params, "include_markdown_description")
        rows = [task_rendering.task(self._workspace, one, markdown=markdown) for one in page]
        return {"tasks": rows, "last_page": last}
