"""Spaces, folders and lists: how they come, change and go, and which events ClickUp sends of it.

The fan-out is ClickUp docs, webhook payload pages (official): creating inside a space also updates the space,
deleting a container tells of its lists but never of the tasks or folders in it. Archiving, and adding a custom field,
send nothing (assumed: no such event is documented).
"""

from collections.abc import Sequence

from integrations.clickup.simulator import history
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.records import (
    CustomField,
    Folder,
    Option,
    Place,
    Space,
    Status,
    TaskList,
)
from integrations.clickup.simulator.store import Store

WORKFLOW = (
    ("to do", "open", "#87909e"),
    ("in progress", "custom", "#5f55ee"),
    ("in review", "custom", "#b660e0"),
    ("done", "done", "#299764"),
    ("closed", "closed", "#008844"),
)
_OPTION_COLORS = (None, "#1bbc9c", "#f8ae00", "#e16b16")


class Structure(Store):
    """The hierarchy's mutations; each returns the event bodies it causes, in ClickUp's order."""

    def create_space(self, name: str, *, private: bool = False) -> list[Body]:
        """A new space with ClickUp's default folderless list in it."""
        space_id, hidden_id = self._ids.number("space"), self._ids.number("folder")
        statuses = self._workflow(space_id, WORKFLOW)
        self.spaces[space_id] = Space(
            id=space_id, name=name, private=private, statuses=statuses, hidden_folder_id=hidden_id
        )
        self.folders[hidden_id] = Folder(id=hidden_id, name="hidden", space_id=space_id, orderindex=0, hidden=True)
        default = self._add_list(self.folders[hidden_id], "List", None)
        return [
            history.event("spaceCreated", {"space_id": space_id}),
            history.event("listCreated", {"list_id": default.id}),
            self._space_updated(space_id),
        ]

    def rename_space(self, space_id: str, name: str) -> list[Body]:
        """A space gets another name."""
        self.spaces[space_id].name = name
        return [self._space_updated(space_id)]

    def archive_space(self, space_id: str, *, archived: bool = True) -> list[Body]:
        """A space leaves the default listings, or returns; no event."""
        self.spaces[space_id].archived = archived
        return []

    def delete_space(self, space_id: str) -> list[Body]:
        """A space goes with everything in it; only its lists are told of."""
        with self._removal(space_id):
            folders = [one for one in self.folders.values() if one.space_id == space_id]
            gone = [list_id for folder in folders for list_id in self._drop_lists(folder)]
            for folder in folders:
                self._drop_folder(folder)
            space = self.spaces.pop(space_id)
            self._drop_fields(space.field_ids)
            self._removing.spaces.append(space)
        return [
            history.event("spaceDeleted", {"space_id": space_id}),
            *(history.event("listDeleted", {"list_id": one}) for one in gone),
        ]

    def create_folder(self, parent_id: str, name: str) -> list[Body]:
        """A new empty folder in a space, or inside another folder; that the latter sends the same is assumed."""
        within = None if parent_id in self.spaces else parent_id
        space = self.spaces[parent_id if within is None else self.folders[within].space_id]
        order = sum(one.space_id == space.id for one in self.folders.values())
        folder_id = self._ids.number("folder")
        self.folders[folder_id] = Folder(id=folder_id, name=name, space_id=space.id, orderindex=order, parent_id=within)
        return [history.event("folderCreated", {"folder_id": folder_id}), self._space_updated(space.id)]

    def rename_folder(self, folder_id: str, name: str) -> list[Body]:
        """A folder gets another name."""
        self.folders[folder_id].name = name
        return [history.event("folderUpdated", {"folder_id": folder_id})]

    def archive_folder(self, folder_id: str, *, archived: bool = True) -> list[Body]:
        """A folder leaves the default listings, or returns; no event."""
        self.folders[folder_id].archived = archived
        return []

    def delete_folder(self, folder_id: str) -> list[Body]:
        """A folder goes with the folders and lists in it and their tasks."""
        folder = self.folders[folder_id]
        with self._removal(folder_id):
            inside = self._with_folders_in(folder)
            gone = [list_id for one in inside for list_id in self._drop_lists(one)]
            for one in inside:
                self._drop_folder(one)
        return [
            history.event("folderDeleted", {"folder_id": folder_id}),
            self._space_updated(folder.space_id),
            *(history.event("listDeleted", {"list_id": one}) for one in gone),
        ]

    def create_list(
        self,
        parent_id: str,
        name: str,
        *,
        content: str | None = None,
        workflow: Sequence[tuple[str, str, str]] = (),
    ) -> list[Body]:
        """A new list in a folder, or folderless in a space; `workflow` (name, type, colour) overrides the space's."""
        folder = self._folder_of(parent_id)
        made = self._add_list(folder, name, content)
        if workflow:
            made.statuses = self._workflow(made.id, workflow)
        return [history.event("listCreated", {"list_id": made.id}), self._space_updated(folder.space_id)]

    def rename_list(self, list_id: str, name: str, *, by: int | None = None) -> list[Body]:
        """A list gets another name; the only structural event that has history, under a uuid and type 6."""
        task_list = self.lists[list_id]
        before, task_list.name = task_list.name, name
        change = history.item(
            self._ids.uuid(),
            self.now(),
            "name",
            list_id,
            self._actor(by),
            kind=6,
            before=before,
            after=name,
        )
        return [history.event("listUpdated", {"list_id": list_id}, [change])]

    def archive_list(self, list_id: str, *, archived: bool = True) -> list[Body]:
        """A list leaves the default listings, or returns; no event."""
        self.lists[list_id].archived = archived
        return []

    def delete_list(self, list_id: str) -> list[Body]:
        """A list goes with its tasks."""
        with self._removal(list_id):
            self._drop_list(self.lists[list_id])
        return [history.event("listDeleted", {"list_id": list_id})]

    def move_list(self, list_id: str, parent_id: str) -> list[Body]:
        """A list goes to another folder, or folderless into a space, with its tasks; no event (assumed)."""
        folder, task_list = self._folder_of(parent_id), self.lists[list_id]
        del self._lists_in[task_list.folder_id][list_id]
        task_list.statuses = self.statuses_of(list_id)
        for task in self.tasks_in(list_id):
            for name in task.tags:
                self.spaces[folder.space_id].tags.setdefault(name, self.spaces[task_list.space_id].tags[name])
            self.order.changed(task.id)
        task_list.folder_id, task_list.space_id = folder.id, folder.space_id
        self.insert_list(task_list)
        return []

    def add_field(
        self,
        parent_id: str,
        name: str,
        kind: str,
        *,
        options: Sequence[str] = (),
        applied_to: Sequence[int] = (),
        by: int | None = None,
    ) -> CustomField:
        """A new custom field on a list, a folder, a space or the workspace, for all below it.

        ClickUp has no event for definitions, so there is no body to return.
        """
        field_ids = self._field_ids(parent_id)
        choices = tuple(
            Option(id=self._ids.uuid(), name=text, color=_OPTION_COLORS[at % 4], orderindex=at)
            for at, text in enumerate(options)
        )
        made = CustomField(
            id=self._ids.uuid(),
            name=name,
            kind=kind,
            options=choices,
            creator=self._actor(by).id,
            created=self.now(),
            applied_to=tuple(applied_to),
        )
        field_ids.append(made.id)
        self.fields[made.id] = made
        return made

    def add_task_type(self, name: str) -> int:
        """A new custom task type; no event."""
        number = max(self.task_types) + 1300 if len(self.task_types) == 1 else max(self.task_types) + 1
        self.task_types[number] = name
        return number

    def share(self, object_id: str, user_id: int) -> None:
        """Somebody gets explicit access to a task, list or folder; no event."""
        self.shares.setdefault(object_id, []).append(self.members[user_id].id)

    def _folder_of(self, parent_id: str) -> Folder:
        """A folder, or the hidden one of a space."""
        return self.folders[self.spaces[parent_id].hidden_folder_id if parent_id in self.spaces else parent_id]

    def _field_ids(self, parent_id: str) -> list[str]:
        """The ids of the custom fields made right there."""
        if parent_id == self.team_id:
            return self.field_ids
        holder = self.lists.get(parent_id) or self.folders.get(parent_id) or self.spaces[parent_id]
        return holder.field_ids

    def _space_updated(self, space_id: str) -> Body:
        return history.event("spaceUpdated", {"space_id": space_id})

    def _workflow(self, owner_id: str, columns: Sequence[tuple[str, str, str]]) -> tuple[Status, ...]:
        return tuple(
            Status(id=self._ids.status(owner_id), name=name, kind=kind, color=color, orderindex=at)
            for at, (name, kind, color) in enumerate(columns)
        )

    def _add_list(self, folder: Folder, name: str, content: str | None) -> TaskList:
        made = TaskList(
            id=self._ids.number("list"),
            name=name,
            folder_id=folder.id,
            space_id=folder.space_id,
            orderindex=len(self.lists_in(folder.id)),
            content=content,
        )
        self.insert_list(made)
        return made

    def _drop_list(self, task_list: TaskList) -> None:
        for task in self.tasks_in(task_list.id):
            if task.id in self.tasks:
                self._drop_task(task)
        for task in self.guests_in(task_list.id):
            task.also_in.remove(task_list.id)
            self._removing.guests.append((task.id, task_list.id))
            self.order.changed(task.id)
        self._bury(task_list.id, self._list_place(task_list))
        self._drop_comments(task_list.id)
        self._drop_fields(task_list.field_ids)
        del self._tasks_in[task_list.id]
        del self._guests_in[task_list.id]
        del self._lists_in[task_list.folder_id][task_list.id]
        del self.lists[task_list.id]
        self._removing.lists.append(task_list)

    def _drop_fields(self, field_ids: Sequence[str]) -> None:
        self._removing.fields += [self.fields.pop(one) for one in field_ids]

    def _drop_lists(self, folder: Folder) -> list[str]:
        """Drop the lists of a folder and say which they were."""
        lists = self.lists_in(folder.id)
        for one in lists:
            self._drop_list(one)
        return [one.id for one in lists]

    def _drop_folder(self, folder: Folder) -> None:
        self._bury(folder.id, Place(space_id=folder.space_id, folder_id=folder.id))
        self._drop_fields(folder.field_ids)
        del self.folders[folder.id]
        self._removing.folders.append(folder)

    def _with_folders_in(self, folder: Folder) -> list[Folder]:
        return [folder, *(one for each in self.folders_in(folder.id) for one in self._with_folders_in(each))]
