"""Pages of tasks: which are chosen (`task_queries.py`), in which order, and quickly in a large workspace.

In a workspace of `LARGE` tasks or more the choice of a question is kept as far as it was looked at, until a task
changes; the next page of the same question goes on from there, and a question for a stretch of dates looks at no task
outside of it. A smaller workspace is looked at anew for each page.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from starlette.datastructures import QueryParams

from integrations.clickup.simulator import task_queries
from integrations.clickup.simulator.records import Task
from integrations.clickup.simulator.task_queries import TASKS_A_PAGE, Test
from integrations.clickup.simulator.workspace import Workspace

LARGE = 1_000
_KEPT = 16

_RANKS: dict[str, Callable[[Task], int | str]] = {
    "id": lambda task: task.id,
    "created": lambda task: task.created,
    "updated": lambda task: task.updated,
    "due_date": lambda task: task.due_date or 0,
}
Question = tuple[object, ...]


class _Choice:
    """The tasks chosen so far, and where more come from."""

    def __init__(self, revision: int, source: Iterator[Task]) -> None:
        self.revision = revision
        self._source = source
        self._rows: list[Task] = []

    def page(self, start: int) -> tuple[list[Task], bool]:
        end = start + TASKS_A_PAGE
        while len(self._rows) <= end:
            row = next(self._source, None)
            if row is None:
                break
            self._rows.append(row)
        return self._rows[start:end], len(self._rows) <= end


class TaskPages:
    """The pages of one workspace. `hidden` says of a task that nobody may see it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._choices: OrderedDict[Question, _Choice] = OrderedDict()

    def in_list(self, list_id: str, query: QueryParams, hidden: Test | None) -> tuple[list[Task], bool]:
        """A page of a list: the tasks at home there and, with include_timl, those also there; is it the last one?

        Raises:
            RefusalError: 500 for an unknown `order_by` (observed), 400 for a page or date that is no number (assumed).
        """
        order = task_queries.order(query)

        def source() -> Iterator[Task]:
            tests = list(task_queries.tests(query))
            return self._sorted(task_queries.in_list(self._workspace, list_id, query), order, tests, query)

        return self._page(("list", list_id), query, hidden, source)

    def in_team(self, query: QueryParams, hidden: Test | None) -> tuple[list[Task], bool]:
        """A page of the workspace, and whether it is the last one. It raises what `in_list` does."""
        order = task_queries.order(query)

        def source() -> Iterator[Task]:
            tests = [*task_queries.tests(query), *task_queries.placed(self._workspace, query)]
            if len(self._workspace.tasks) < LARGE:
                return self._sorted(self._workspace.tasks.values(), order, tests, query)
            oldest_first = task_queries.switch(query, "reverse")
            first, last = task_queries.bounds(query, f"date_{order}")
            other = "created" if order == "updated" else "updated"
            if order in ("created", "updated") and ((first, last) != (None, None) or not _dated(query, other)):
                walk = self._workspace.order.walk(order, first=first, last=last, oldest_first=oldest_first)
                return (one for one in walk if all(test(one) for test in tests))
            date = "updated" if _dated(query, "updated") else "created"
            first, last = task_queries.bounds(query, f"date_{date}")
            near = self._workspace.order.walk(date, first=first, last=last, oldest_first=True)
            return self._sorted(near, order, tests, query)

        return self._page(("team",), query, hidden, source)

    def _sorted(self, tasks: Iterable[Task], order: str, tests: list[Test], query: QueryParams) -> Iterator[Task]:
        rank = _RANKS[order]
        chosen = [one for one in tasks if all(test(one) for test in tests)]
        chosen.sort(key=lambda one: (rank(one), one.id), reverse=not task_queries.switch(query, "reverse"))
        return iter(chosen)

    def _page(
        self, place: Question, query: QueryParams, hidden: Test | None, source: Callable[[], Iterator[Task]]
    ) -> tuple[list[Task], bool]:
        start = task_queries.number(query, "page", 0) * TASKS_A_PAGE
        revision = self._workspace.order.revision
        if hidden is not None or len(self._workspace.tasks) < LARGE:
            rows = source() if hidden is None else (one for one in source() if not hidden(one))
            return _Choice(revision, rows).page(start)
        question = (*place, *sorted((name, value) for name, value in query.multi_items() if name != "page"))
        choice = self._choices.pop(question, None)
        if choice is None or choice.revision != revision:
            choice = _Choice(revision, source())
        self._choices[question] = choice
        if len(self._choices) > _KEPT:
            self._choices.popitem(last=False)
        return choice.page(start)


def _dated(query: QueryParams, date: str) -> bool:
    return task_queries.bounds(query, f"date_{date}") != (None, None)
