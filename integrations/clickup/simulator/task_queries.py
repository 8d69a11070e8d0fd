"""Which tasks and comments a listing shows, and which page of them: pure functions from query parameters.

Defaults hide what ClickUp's hide (official): subtasks, closed, archived, and tasks that only also appear in a list.
`archived` is a switch, not an inclusion. A page has 100 tasks whatever `limit` says (observed), 25 comments
(official). `date_*_gt` and `_lt` include the boundary (observed). `reverse=true` is oldest first (observed for
order_by=updated, assumed for the others).
"""

from collections.abc import Callable, Iterable, Iterator

from starlette.datastructures import QueryParams

from integrations.clickup.simulator.records import Comment, Task
from integrations.clickup.simulator.refusals import RefusalError
from integrations.clickup.simulator.workspace import Workspace

TASKS_A_PAGE = 100
COMMENTS_A_PAGE = 25

Test = Callable[[Task], bool]

_ORDERS = ("id", "created", "updated", "due_date")
_DATES: dict[str, Callable[[Task], int | None]] = {
    "date_created": lambda task: task.created,
    "date_updated": lambda task: task.updated,
    "date_done": lambda task: task.done,
    "due_date": lambda task: task.due_date,
}


def switch(query: QueryParams, name: str) -> bool:
    """A boolean parameter, off unless said otherwise."""
    return query.get(name, "").lower() in ("true", "1")


def several(query: QueryParams, name: str) -> list[str]:
    """An array parameter, written `name[]=a&name[]=b` or without the brackets."""
    return [*query.getlist(f"{name}[]"), *query.getlist(name)]


def order(query: QueryParams) -> str:
    """What a listing is ordered by.

    Raises:
        RefusalError: 500 for an unknown `order_by` (observed).
    """
    wanted = query.get("order_by") or "created"
    if wanted not in _ORDERS:
        raise RefusalError(500, "Internal server error", "INTERNAL_001")
    return wanted


def bounds(query: QueryParams, date: str) -> tuple[int | None, int | None]:
    """The first and the last moment of a date that are asked for, if any."""
    first, last = query.get(f"{date}_gt"), query.get(f"{date}_lt")
    return (
        number(query, f"{date}_gt", 0) if first else None,
        number(query, f"{date}_lt", 0) if last else None,
    )


def in_list(workspace: Workspace, list_id: str, query: QueryParams) -> Iterable[Task]:
    """The tasks a list's page is cut from: those at home there and, with include_timl, those also there."""
    yield from workspace.tasks_in(list_id)
    if switch(query, "include_timl"):
        yield from workspace.guests_in(list_id)


def placed(workspace: Workspace, query: QueryParams) -> Iterator[Test]:
    """The workspace listing's filters by place; an unknown id in one matches nothing (observed)."""
    spaces, folders = set(several(query, "space_ids")), set(several(query, "project_ids"))
    lists, with_others = set(several(query, "list_ids")), switch(query, "include_timl")
    if lists:
        yield lambda task: task.list_id in lists or (with_others and not lists.isdisjoint(task.also_in))
    if spaces:
        yield lambda task: workspace.lists[task.list_id].space_id in spaces
    if folders:
        yield lambda task: workspace.lists[task.list_id].folder_id in folders


def tests(query: QueryParams) -> Iterator[Test]:
    """What a task must be to be listed. The query is read once a page, not once a task."""
    yield from _shown(query)
    yield from _dated(query)
    yield from _matching(query)


def page_of_comments(comments: Iterable[Comment], query: QueryParams) -> list[Comment]:
    """The newest comments, or those older than the one that `start` (date) and `start_id` name together.

    With only one of the two the first page comes again (assumed): half a cursor is none.
    """
    newest = sorted(comments, key=lambda one: (one.date, one.id), reverse=True)
    start, start_id = query.get("start"), query.get("start_id")
    if start and start_id:
        before = (number(query, "start", 0), start_id)
        newest = [one for one in newest if (one.date, one.id) < before]
    return newest[:COMMENTS_A_PAGE]


def _shown(query: QueryParams) -> Iterator[Test]:
    """What the defaults hide."""
    archived, parent = switch(query, "archived"), query.get("parent")
    yield lambda task: task.archived == archived
    if not switch(query, "subtasks"):
        yield lambda task: task.parent is None or task.parent == parent
    if not switch(query, "include_closed"):
        yield lambda task: task.status.kind != "closed"


def _dated(query: QueryParams) -> Iterator[Test]:
    for name, date_of in _DATES.items():
        first, last = bounds(query, name)
        if first is not None:
            yield _since(date_of, first)
        if last is not None:
            yield _until(date_of, last)


def _since(date_of: Callable[[Task], int | None], first: int) -> Test:
    return lambda task: (date := date_of(task)) is not None and date >= first


def _until(date_of: Callable[[Task], int | None], last: int) -> Test:
    return lambda task: (date := date_of(task)) is not None and date <= last


def _matching(query: QueryParams) -> Iterator[Test]:
    statuses, tags = set(several(query, "statuses")), set(several(query, "tags"))
    assignees, parent = set(several(query, "assignees")), query.get("parent")
    kinds = set(several(query, "custom_items"))
    if statuses:
        yield lambda task: task.status.name in statuses
    if tags:
        yield lambda task: not tags.isdisjoint(task.tags)
    if assignees:
        yield lambda task: not assignees.isdisjoint(map(str, task.assignees))
    if kinds:
        yield lambda task: str(task.kind) in kinds
    if parent is not None:
        yield lambda task: task.parent == parent


def number(query: QueryParams, name: str, default: int) -> int:
    """A number as a parameter, or the refusal of what is none."""
    try:
        return int(query.get(name) or default)
    except ValueError:
        raise RefusalError(400, f"{name} must be a number", "INPUT_003") from None
