"""The trash: what deleting took out of the workspace, to be put back. No event tells of a restoration (assumed).

ClickUp keeps deleted things for 30 days and its API shows nothing of them (observed), so only a listing reveals that
something is there again. What was deleted with something comes back with it, unchanged. That a restored task has a new
`date_updated`, and what comes back inside a restored container has not, is assumed.
"""

from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.store import Store


class Trash(Store):
    """Restorations; each returns its events: none."""

    def restore_task(self, task_id: str) -> list[Body]:
        """A deleted task comes back with its subtasks and all their comments; no event."""
        [task, *_] = [one for one in self._trash[task_id].tasks if one.id == task_id]
        if task.list_id not in self.lists or task.parent not in (None, *self.tasks):
            raise ValueError(f"restore what task {task_id} was in first")
        self._put_back(task_id)
        self._touch(task)
        return []

    def restore_list(self, list_id: str) -> list[Body]:
        """A deleted list comes back with its tasks; no event."""
        [task_list] = [one for one in self._trash[list_id].lists if one.id == list_id]
        if task_list.folder_id not in self.folders:
            raise ValueError(f"restore the folder of list {list_id} first")
        self._put_back(list_id)
        return []

    def restore_folder(self, folder_id: str) -> list[Body]:
        """A deleted folder comes back with all that was in it; no event."""
        [folder] = [one for one in self._trash[folder_id].folders if one.id == folder_id]
        if folder.space_id not in self.spaces or folder.parent_id not in (None, *self.folders):
            raise ValueError(f"restore what folder {folder_id} was in first")
        self._put_back(folder_id)
        return []

    def restore_space(self, space_id: str) -> list[Body]:
        """A deleted space comes back with all that was in it; no event."""
        if not self._trash[space_id].spaces:
            raise KeyError(space_id)
        self._put_back(space_id)
        return []

    def _put_back(self, removed_id: str) -> None:
        removed = self._trash.pop(removed_id)
        self.spaces |= {one.id: one for one in removed.spaces}
        self.folders |= {one.id: one for one in removed.folders}
        self.fields |= {one.id: one for one in removed.fields}
        for task_list in removed.lists:
            self.insert_list(task_list)
        for task in sorted(removed.tasks, key=lambda one: one.orderindex):
            self.insert_task(task)
        for comment in sorted(removed.comments, key=lambda one: one.id):
            self.insert_comment(comment)
        for entry in removed.entries:
            self.insert_entry(entry)
        for task_id, list_id in removed.guests:
            if task_id in self.tasks and list_id in self.lists:
                self.tasks[task_id].also_in.append(list_id)
                self._guests_in[list_id][task_id] = None
