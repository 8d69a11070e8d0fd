"""The tasks of a large workspace in the order of a date, so that a page of them needs no sorting of them all.

The order is made when it is first asked for and then kept: changed tasks are noted and put in their place at the next
look. `revision` grows with every change, so that whoever kept the answer to a question knows that it is old.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping

from integrations.clickup.simulator.records import Task

MOST_NOTED = 5_000

Key = tuple[int, str]


class TaskOrder:
    """The tasks by `created` and by `updated`, equal dates by id."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self.revision = 0
        self._tasks = tasks
        self._keys: dict[str, dict[str, Key]] = {}
        self._sorted: dict[str, list[Key]] = {}
        self._noted: set[str] = set()

    def changed(self, task_id: str) -> None:
        """A task came, changed or went."""
        self.revision += 1
        if self._sorted:
            self._noted.add(task_id)
            if len(self._noted) > MOST_NOTED:
                self._sorted.clear()
                self._noted.clear()

    def walk(self, date: str, *, first: int | None, last: int | None, oldest_first: bool) -> Iterator[Task]:
        """The tasks whose date lies between these two, boundaries included. Good until the next change."""
        self._refresh()
        keys = self._sorted[date]
        low = 0 if first is None else bisect_left(keys, (first, ""))
        high = len(keys) if last is None else bisect_right(keys, (last, "\U0010ffff"))
        places = range(low, high) if oldest_first else range(high - 1, low - 1, -1)
        return (self._tasks[keys[at][1]] for at in places)

    def _refresh(self) -> None:
        if not self._sorted:
            for date in ("created", "updated"):
                self._keys[date] = {one.id: (getattr(one, date), one.id) for one in self._tasks.values()}
                self._sorted[date] = sorted(self._keys[date].values())
            self._noted.clear()
        for task_id in self._noted:
            task = self._tasks.get(task_id)
            for date, keys in self._keys.items():
                self._replace(date, keys.pop(task_id, None), None if task is None else (getattr(task, date), task_id))
        self._noted.clear()

    def _replace(self, date: str, old: Key | None, new: Key | None) -> None:
        keys = self._sorted[date]
        if old is not None:
            del keys[bisect_left(keys, old)]
        if new is not None:
            insort(keys, new)
            self._keys[date][new[1]] = new
