"""Changes of a task that no webhook tells of: archiving, a second list, checklists, links, files, its type.

None of these has an event in ClickUp's official list, so only a comparison with the API finds them; that is what
they are here for. That they bump `date_updated` is assumed. Each returns the empty list of its events.
"""

import mimetypes
from collections.abc import Iterable

from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.papers import Attachment
from integrations.clickup.simulator.records import Checklist, ChecklistItem, Link, Task
from integrations.clickup.simulator.store import Store


class SilentEdits(Store):
    """The tasks' mutations without events."""

    def archive_task(self, task_id: str, *, archived: bool = True) -> list[Body]:
        """A task leaves the default listings, or returns; no event."""
        return self._silently(self.tasks[task_id], archived=archived)

    def add_to_list(self, task_id: str, list_id: str) -> list[Body]:
        """A task shows in a second list too; no event."""
        task = self.tasks[task_id]
        self._guests_in[list_id][task_id] = None
        return self._silently(task, also_in=[*task.also_in, self.lists[list_id].id])

    def remove_from_list(self, task_id: str, list_id: str) -> list[Body]:
        """A task no longer shows in that other list; no event."""
        task = self.tasks[task_id]
        del self._guests_in[list_id][task_id]
        return self._silently(task, also_in=[one for one in task.also_in if one != list_id])

    def add_checklist(self, task_id: str, name: str, lines: Iterable[str], *, by: int | None = None) -> list[Body]:
        """A task gets a checklist; no event."""
        task, at = self.tasks[task_id], self.now()
        items = [ChecklistItem(id=self._ids.uuid(), name=line, created=at) for line in lines]
        made = Checklist(id=self._ids.uuid(), name=name, creator=self._actor(by).id, created=at, items=items)
        return self._silently(task, checklists=[*task.checklists, made])

    def add_dependency(self, task_id: str, depends_on: str, *, by: int | None = None) -> list[Body]:
        """A task waits on another one; no event."""
        task = self.tasks[task_id]
        return self._silently(task, dependencies=[*task.dependencies, self._link(task_id, depends_on, by)])

    def link_tasks(self, task_id: str, other_id: str, *, by: int | None = None) -> list[Body]:
        """Two tasks refer to one another; no event."""
        task, other = self.tasks[task_id], self.tasks[other_id]
        self._silently(other, links=[*other.links, self._link(other_id, task_id, by)])
        return self._silently(task, links=[*task.links, self._link(task_id, other_id, by)])

    def attach(self, task_id: str, title: str, *, size: int = 1024, by: int | None = None) -> list[Body]:
        """A task gets a file; no event (official, though others saw history of it)."""
        extension = title.rpartition(".")[2].lower()
        made = Attachment(
            id=f"{self._paper_ids.uuid()}.{extension}",
            title=title,
            extension=extension,
            mimetype=mimetypes.types_map.get(f".{extension}", "application/octet-stream"),
            size=size,
            user=self._actor(by).id,
            date=self.now(),
        )
        task = self.tasks[task_id]
        return self._silently(task, attachments=[*task.attachments, made])

    def detach(self, task_id: str, attachment_id: str) -> list[Body]:
        """A task loses a file; no event."""
        task = self.tasks[task_id]
        return self._silently(task, attachments=[one for one in task.attachments if one.id != attachment_id])

    def set_task_type(self, task_id: str, number: int) -> list[Body]:
        """A task becomes one of a custom task type, or a plain one (0); no event (assumed)."""
        if number not in (0, *self.task_types):
            raise ValueError(f"there is no task type {number}")
        return self._silently(self.tasks[task_id], kind=number)

    def remove_tag(self, task_id: str, name: str) -> list[Body]:
        """A task loses a tag; the event's shape is unconfirmed, so it is left out."""
        task = self.tasks[task_id]
        return self._silently(task, tags=[one for one in task.tags if one != name])

    def _link(self, task_id: str, other_id: str, by: int | None) -> Link:
        target = self.tasks[other_id].id
        return Link(task_id=task_id, other_id=target, user=self._actor(by).id, created=self.now())

    def _silently(self, task: Task, **changes: object) -> list[Body]:
        for name, value in changes.items():
            setattr(task, name, value)
        self._touch(task)
        return []
