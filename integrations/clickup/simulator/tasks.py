"""Tasks: how they come, change, move and go, and which events ClickUp sends of it.

Every change of an attribute sends its specific event and a companion taskUpdated with the very same history items
(ClickUp docs, task payload pages, official). Changes that ClickUp has no event for are in `silent.py`.
"""

from collections.abc import Iterable
from typing import Any

from integrations.clickup.simulator import history
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.records import Status, Tag, Task
from integrations.clickup.simulator.store import Store

_TAG_COLORS = ("#1bbc9c", "#e16b16", "#5f55ee", "#d33d44", "#aa8d80")


class TaskEdits(Store):
    """The tasks' mutations; each returns the event bodies it causes. `by` is the acting user, else the owner."""

    def create_task(
        self,
        list_id: str,
        name: str,
        *,
        description: str = "",
        parent: str | None = None,
        assignees: Iterable[int] = (),
        priority: int | None = None,
        by: int | None = None,
    ) -> list[Body]:
        """A new task, or a subtask of `parent` in the same list, in the workflow's first status."""
        if parent is not None and self.tasks[parent].list_id != list_id:
            raise ValueError(f"task {parent} is not in list {list_id}")
        at, user, status = self.now(), self._actor(by), self.statuses_of(list_id)[0]
        task = Task(
            id=self._ids.task(),
            name=name,
            description=description,
            status=status,
            list_id=list_id,
            creator=user.id,
            created=at,
            updated=at,
            orderindex=len(self.tasks) + 1,
            parent=parent,
            assignees=list(assignees),
            priority=priority,
        )
        self.insert_task(task)
        creation_id, status_id = self._ids.number("history"), self._ids.number("history")
        first = history.item(
            status_id,
            at,
            "status",
            list_id,
            user,
            data={"status_type": status.kind},
            before=history.status_value(None),
            after=history.status_value(status),
        )
        creation = history.item(creation_id, at, "task_creation", list_id, user, before=None, after=None)
        ids = {"task_id": task.id}
        return [
            history.event("taskCreated", ids, [first, creation]),
            history.event("taskStatusUpdated", ids, [first]),
        ]

    def rename_task(self, task_id: str, name: str, *, by: int | None = None) -> list[Body]:
        """A task gets another name."""
        task = self.tasks[task_id]
        before, task.name = task.name, name
        return self._changed(task, None, "name", by, before=before, after=name)

    def describe_task(self, task_id: str, description: str, *, by: int | None = None) -> list[Body]:
        """A task gets another description."""
        task = self.tasks[task_id]
        block_id = "block-" + self._ids.uuid()
        before = history.delta(task.description, block_id) if task.description else None
        task.description = description
        after = history.delta(description, block_id)
        return self._changed(task, None, "content", by, before=before, after=after)

    def set_status(self, task_id: str, status: str, *, by: int | None = None) -> list[Body]:
        """A task goes to another column of its workflow, named as on the board."""
        task = self.tasks[task_id]
        target = next((one for one in self.statuses_of(task.list_id) if one.name == status), None)
        if target is None:
            raise ValueError(f"list {task.list_id} has no status {status!r}")
        before = task.status
        self._enter(task, target)
        return self._changed(
            task,
            "taskStatusUpdated",
            "status",
            by,
            data={"status_type": target.kind},
            before=history.status_value(before),
            after=history.status_value(target),
        )

    def set_priority(self, task_id: str, priority: int | None, *, by: int | None = None) -> list[Body]:
        """A task gets a priority from 1 (urgent) to 4 (low), or none."""
        task = self.tasks[task_id]
        before, after = history.priority_value(task.priority), history.priority_value(priority)
        task.priority = priority
        return self._changed(task, "taskPriorityUpdated", "priority", by, before=before, after=after)

    def add_assignee(self, task_id: str, user_id: int, *, by: int | None = None) -> list[Body]:
        """Someone is assigned; this history item has no `before` at all (official sample)."""
        task, user = self.tasks[task_id], self.members[user_id]
        if user_id not in task.assignees:
            task.assignees.append(user_id)
        return self._changed(task, "taskAssigneeUpdated", "assignee_add", by, after=history.user_json(user))

    def remove_assignee(self, task_id: str, user_id: int, *, by: int | None = None) -> list[Body]:
        """Someone is no longer assigned; the item's shape, a `before` only, is inferred."""
        task, user = self.tasks[task_id], self.members[user_id]
        if user_id in task.assignees:
            task.assignees.remove(user_id)
        return self._changed(task, "taskAssigneeUpdated", "assignee_rem", by, before=history.user_json(user))

    def set_due_date(
        self, task_id: str, due_date: int | None, *, with_time: bool = True, by: int | None = None
    ) -> list[Body]:
        """A task gets a due date in epoch milliseconds, or none."""
        task = self.tasks[task_id]
        data = {"due_date_time": with_time, "old_due_date_time": task.due_date_time}
        before, task.due_date, task.due_date_time = task.due_date, due_date, with_time
        return self._changed(
            task,
            "taskDueDateUpdated",
            "due_date",
            by,
            data=data,
            before=history.text(before),
            after=history.text(due_date),
        )

    def add_tag(self, task_id: str, name: str, *, by: int | None = None) -> list[Body]:
        """A task gets a tag; its space gets to know the tag if it is new there."""
        task, user = self.tasks[task_id], self._actor(by)
        tags = self.spaces[self.lists[task.list_id].space_id].tags
        color = _TAG_COLORS[len(tags) % len(_TAG_COLORS)]
        tag = tags.setdefault(name, Tag(name=name, foreground="#ffffff", background=color, creator=user.id))
        if name not in task.tags:
            task.tags.append(name)
        after = [{"name": name, "tag_fg": tag.foreground, "tag_bg": tag.background, "creator": tag.creator}]
        return self._changed(task, "taskTagUpdated", "tag", by, before=None, after=after)

    def set_custom_field(self, task_id: str, field_id: str, value: object, *, by: int | None = None) -> list[Body]:
        """A field of the task's list gets a value, or None; a drop-down's value is an option's id."""
        task, field = self.tasks[task_id], self.fields[field_id]
        if field.kind == "drop_down" and value not in (None, *(one.id for one in field.options)):
            raise ValueError(f"field {field.name!r} has no option {value!r}")
        before = task.values.pop(field_id, None)
        if value is not None:
            task.values[field_id] = value
        definition = history.field_definition(field, self.team_id)
        return self._changed(task, None, "custom_field", by, before=before, after=value, custom_field=definition)

    def move_task(self, task_id: str, list_id: str, *, by: int | None = None) -> list[Body]:
        """A task changes its home list and takes its subtasks along (assumed, without events for them).

        The status of the same name is kept, else the new list's first one is entered (assumed). The history's
        `parent_id` is the new list, and the space told of is the new one.
        """
        task, target = self.tasks[task_id], self.lists[list_id]
        if task.parent is not None:
            raise ValueError(f"task {task_id} is a subtask; it moves with {task.parent}")
        before = self._section(task.list_id)
        self._rehome(task, list_id)
        bodies = self._changed(
            task,
            "taskMoved",
            "section_moved",
            by,
            data={"mute_notifications": True},
            before=before,
            after=self._section(list_id),
        )
        return [*bodies, history.event("spaceUpdated", {"space_id": target.space_id})]

    def delete_task(self, task_id: str) -> list[Body]:
        """A task goes with its subtasks; only its own removal is told (assumed), without any history (official)."""
        task = self.tasks[task_id]
        with self._removal(task_id):
            self._drop_task(task)
        return [history.event("taskDeleted", {"task_id": task_id})]

    def _changed(self, task: Task, name: str | None, field: str, by: int | None, **rest: Any) -> list[Body]:
        """Bump the task; the specific event, if there is one, and its companion, sharing the history item."""
        self._touch(task)
        change = history.item(self._ids.number("history"), task.updated, field, task.list_id, self._actor(by), **rest)
        names = ["taskUpdated"] if name is None else [name, "taskUpdated"]
        return [history.event(one, {"task_id": task.id}, [change]) for one in names]

    def _section(self, list_id: str) -> Body:
        task_list = self.lists[list_id]
        return history.section(task_list, self.folders[task_list.folder_id], self.spaces[task_list.space_id])

    def _enter(self, task: Task, status: Status) -> None:
        at = self.now()
        task.status = status
        task.done = (task.done or at) if status.kind in ("done", "closed") else None
        task.closed = (task.closed or at) if status.kind == "closed" else None

    def _rehome(self, task: Task, list_id: str) -> None:
        for child in self.subtasks_of(task.id):
            self._rehome(child, list_id)
        statuses = self.statuses_of(list_id)
        tags = [self.spaces[self.lists[one].space_id].tags for one in (task.list_id, list_id)]
        for name in task.tags:
            tags[1].setdefault(name, tags[0][name])
        del self._tasks_in[task.list_id][task.id]
        self._tasks_in[list_id][task.id] = None
        task.list_id = list_id
        self.order.changed(task.id)
        if list_id in task.also_in:
            task.also_in.remove(list_id)
            del self._guests_in[list_id][task.id]
        self._enter(task, next((one for one in statuses if one.name == task.status.name), statuses[0]))
