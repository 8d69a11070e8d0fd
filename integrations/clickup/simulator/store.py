"""What the workspace holds, and how to look things up in it; the subjects that change it build on this class.

Everything random comes from the seed and every time from the clock, so that one seed and one clock tell one story.
A look-up of an unknown id raises KeyError. Indexes (tasks of a list, comments of a task) are kept here so that a
page of a large workspace does not walk all of it. What is put in and taken out goes through `insert_` and `_drop_`.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.ids import Ids
from integrations.clickup.simulator.papers import Doc, Goal, GoalFolder, TimeEntry
from integrations.clickup.simulator.people import people
from integrations.clickup.simulator.records import (
    Comment,
    CustomField,
    Folder,
    Member,
    Place,
    Space,
    Status,
    Task,
    TaskList,
    Webhook,
)
from integrations.clickup.simulator.task_order import TaskOrder

REMEMBERED_PLACES = 10_000
REMEMBERED_DELETIONS = 200


@dataclass(slots=True, kw_only=True)
class Removed:
    """What one deletion took out; `guests` are the pairs of a task and a list it also was in."""

    spaces: list[Space] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    lists: list[TaskList] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    fields: list[CustomField] = field(default_factory=list)
    entries: list[TimeEntry] = field(default_factory=list)
    guests: list[tuple[str, str]] = field(default_factory=list)


class Store:
    """The objects of one workspace, in the order they were made."""

    def __init__(self, *, seed: int, clock: Callable[[], datetime]) -> None:
        self.seed = seed
        self.name = "Northwind Logistics"
        self.spaces: dict[str, Space] = {}
        self.folders: dict[str, Folder] = {}
        self.lists: dict[str, TaskList] = {}
        self.tasks: dict[str, Task] = {}
        self.comments: dict[str, Comment] = {}
        self.fields: dict[str, CustomField] = {}
        self.field_ids: list[str] = []
        self.task_types = {1: "Milestone"}
        self.time_entries: dict[str, TimeEntry] = {}
        self.goals: dict[str, Goal] = {}
        self.goal_folders: dict[str, GoalFolder] = {}
        self.docs: dict[str, Doc] = {}
        self.shares: dict[str, list[int]] = {}
        self.webhooks: dict[str, Webhook] = {}
        self.order = TaskOrder(self.tasks)
        self._clock = clock
        self._ids = Ids(self.random_for("ids"))
        self._paper_ids = Ids(self.random_for("papers"))
        self._lists_in: dict[str, dict[str, None]] = {}
        self._tasks_in: dict[str, dict[str, None]] = {}
        self._guests_in: dict[str, dict[str, None]] = {}
        self._subtasks_of: dict[str, dict[str, None]] = {}
        self._comments_on: dict[str, dict[str, None]] = {}
        self._replies_to: dict[str, dict[str, None]] = {}
        self._entries_on: dict[str | None, dict[str, None]] = {}
        self._buried: dict[str, Place] = {}
        self._trash: dict[str, Removed] = {}
        self._removing = Removed()
        self.team_id = self._ids.number("team")
        self.members = {one.id: one for one in people(self._ids)}
        self.owner = next(iter(self.members.values()))

    def random_for(self, purpose: str) -> random.Random:
        """A generator of the seed for one purpose, so that drawing for one never shifts another's sequence."""
        return random.Random(f"{self.seed}:{purpose}")  # noqa: S311 - a story to repeat, not a secret

    @property
    def ids(self) -> Ids:
        """Where the ids of everything but papers and webhooks come from."""
        return self._ids

    def now(self) -> int:
        """The clock in epoch milliseconds."""
        return round(self._clock().timestamp() * 1000)

    def colleagues(self) -> list[Member]:
        """Everyone who can act: the members that accepted their invitation."""
        return [one for one in self.members.values() if one.username is not None]

    def statuses_of(self, list_id: str) -> tuple[Status, ...]:
        """The workflow of a list: its own, else its space's."""
        task_list = self.lists[list_id]
        return task_list.statuses or self.spaces[task_list.space_id].statuses

    def fields_of(self, list_id: str) -> list[CustomField]:
        """The custom fields of a list's tasks: the workspace's, its space's, its folders' and its own."""
        task_list = self.lists[list_id]
        chain: list[list[str]] = [task_list.field_ids]
        folder: Folder | None = self.folders[task_list.folder_id]
        while folder is not None:
            chain.append(folder.field_ids)
            folder = None if folder.parent_id is None else self.folders[folder.parent_id]
        chain += [self.spaces[task_list.space_id].field_ids, self.field_ids]
        return [self.fields[one] for ids in reversed(chain) for one in ids]

    def tasks_in(self, list_id: str) -> list[Task]:
        """The tasks whose home is this list, subtasks too, oldest first."""
        return [self.tasks[one] for one in self._tasks_in[list_id]]

    def task_count(self, list_id: str) -> int:
        """How many tasks have their home in this list."""
        return len(self._tasks_in[list_id])

    def guests_in(self, list_id: str) -> list[Task]:
        """The tasks that are also in this list, at home elsewhere."""
        return [self.tasks[one] for one in self._guests_in[list_id]]

    def subtasks_of(self, task_id: str) -> list[Task]:
        """The direct subtasks, oldest first."""
        return [self.tasks[one] for one in self._subtasks_of.get(task_id, ())]

    def comments_on(self, parent_id: str) -> list[Comment]:
        """All comments of a task or list with all replies, oldest first."""
        return [self.comments[one] for one in self._comments_on.get(parent_id, ())]

    def replies_to(self, comment_id: str) -> list[Comment]:
        """The replies in a comment's thread, oldest first."""
        return [self.comments[one] for one in self._replies_to.get(comment_id, ())]

    def entries_on(self, task_id: str) -> list[TimeEntry]:
        """The time entries of a task."""
        return [self.time_entries[one] for one in self._entries_on.get(task_id, ())]

    def lists_in(self, folder_id: str) -> list[TaskList]:
        """The lists of a folder, or of a hidden folder: the folderless ones of its space."""
        return [self.lists[one] for one in self._lists_in.get(folder_id, ())]

    def folders_in(self, folder_id: str) -> list[Folder]:
        """The folders directly inside a folder."""
        return [one for one in self.folders.values() if one.parent_id == folder_id]

    def place_of(self, body: Body) -> Place:
        """Where an event happened, also when what it is about has just been deleted."""
        if (task_id := body.get("task_id")) is not None:
            task = self.tasks.get(task_id)
            return self._buried.get(task_id, Place()) if task is None else self._task_place(task)
        if (list_id := body.get("list_id")) is not None:
            found = self.lists.get(list_id)
            return self._buried.get(list_id, Place()) if found is None else self._list_place(found)
        if (folder_id := body.get("folder_id")) is not None:
            folder = self.folders.get(folder_id)
            if folder is None:
                return self._buried.get(folder_id, Place())
            return Place(space_id=folder.space_id, folder_id=folder.id)
        return Place(space_id=body.get("space_id"))

    def _actor(self, by: int | None) -> Member:
        return self.owner if by is None else self.members[by]

    def _list_place(self, task_list: TaskList) -> Place:
        return Place(space_id=task_list.space_id, folder_id=task_list.folder_id, list_id=task_list.id)

    def _task_place(self, task: Task) -> Place:
        home = self.lists[task.list_id]
        return Place(space_id=home.space_id, folder_id=home.folder_id, list_id=home.id, task_id=task.id)

    def _bury(self, removed_id: str, place: Place) -> None:
        self._buried[removed_id] = place
        if len(self._buried) > REMEMBERED_PLACES:
            del self._buried[next(iter(self._buried))]

    def _touch(self, task: Task) -> None:
        """A task changed: bump its date, and let the listings know."""
        task.updated = self.now()
        self.order.changed(task.id)

    @contextlib.contextmanager
    def _removal(self, removed_id: str) -> Iterator[None]:
        """What is dropped inside goes to the trash under this id."""
        self._removing = self._trash[removed_id] = Removed()
        yield
        if len(self._trash) > REMEMBERED_DELETIONS:
            del self._trash[next(iter(self._trash))]

    def insert_list(self, task_list: TaskList) -> None:
        """A list is there, without an event; its folder is, too."""
        self.lists[task_list.id] = task_list
        self._lists_in.setdefault(task_list.folder_id, {})[task_list.id] = None
        self._tasks_in.setdefault(task_list.id, {})
        self._guests_in.setdefault(task_list.id, {})

    def insert_task(self, task: Task) -> None:
        """A task is there as it is, without an event; its list and its parent are, too."""
        self.tasks[task.id] = task
        self._tasks_in[task.list_id][task.id] = None
        if task.parent is not None:
            self._subtasks_of.setdefault(task.parent, {})[task.id] = None
        task.also_in = [one for one in task.also_in if one in self.lists] if task.also_in else task.also_in
        for list_id in task.also_in:
            self._guests_in[list_id][task.id] = None
        self.order.changed(task.id)

    def insert_comment(self, comment: Comment) -> None:
        """A comment is there, without an event; what it is on is, too."""
        self.comments[comment.id] = comment
        self._comments_on.setdefault(comment.task_id, {})[comment.id] = None
        if comment.reply_to is not None:
            self._replies_to.setdefault(comment.reply_to, {})[comment.id] = None

    def insert_entry(self, entry: TimeEntry) -> None:
        """A time entry is there, without an event."""
        self.time_entries[entry.id] = entry
        self._entries_on.setdefault(entry.task_id, {})[entry.id] = None

    def _drop_task(self, task: Task) -> None:
        """Take a task, its subtasks and all their comments out of the model."""
        for child in self.subtasks_of(task.id):
            self._drop_task(child)
        self._bury(task.id, self._task_place(task))
        self._drop_comments(task.id)
        self._removing.entries += [self.time_entries.pop(one) for one in self._entries_on.pop(task.id, ())]
        for list_id in task.also_in:
            del self._guests_in[list_id][task.id]
        if task.parent is not None:
            del self._subtasks_of[task.parent][task.id]
        self._subtasks_of.pop(task.id, None)
        del self._tasks_in[task.list_id][task.id]
        del self.tasks[task.id]
        self._removing.tasks.append(task)
        self.order.changed(task.id)

    def _drop_comments(self, parent_id: str) -> None:
        """Take all comments of a task or list out of the model."""
        for comment_id in self._comments_on.pop(parent_id, {}):
            self._replies_to.pop(comment_id, None)
            self._removing.comments.append(self.comments.pop(comment_id))
