"""A large workspace at once: what an import of a company of some years meets, without telling any of its events.

    found(simulator.workspace, tasks=100_000, comments=20_000)

The same workspace seed, clock and size give the same workspace. Everything that a listing hides by default is in it,
everything that pages is longer than a page somewhere, and many tasks share the millisecond of their last change.
"""

from collections import Counter
from dataclasses import dataclass

from integrations.clickup.simulator import phrases, steps
from integrations.clickup.simulator.papers import Attachment, TimeEntry
from integrations.clickup.simulator.records import Checklist, ChecklistItem, Comment, CustomField, Link, Tag, Task
from integrations.clickup.simulator.workspace import Workspace

_DAY = 86_400_000
_HOUR = 3_600_000
_BUSY_COMMENTS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large, and how much of what; shares are of all tasks unless said otherwise.

    Attributes:
        tasks: how many, subtasks included.
        subtasks: the share of subtasks.
        nested: the share of subtasks that are below another subtask.
        comments: how many, replies included.
        replies: the share of comments that are replies.
        busy: how many tasks have sixty comments, if there are so many.
        docs: how many; one in twenty is archived, one in twenty deleted.
        pages: how many pages a doc has; every third is below another one.
        spaces: how many.
        folders: how many a space has; the last is inside the first.
        lists: how many, at least one a space: the folderless ones.
        closed: the share of closed tasks.
        archived: the share of archived tasks.
        several_lists: the share of tasks that are in a second list, too.
        dependencies: the share of tasks that wait on another.
        links: the share of tasks that are linked with another.
        checklists: the share of tasks with a checklist.
        tags: the share of tasks with tags.
        fields: the share of tasks with custom field values.
        assignees: the share of tasks with assignees.
        entries: how many time entries.
        attachments: the share of tasks with a file.
        ties: how many tasks changed last in one and the same millisecond.
        days: over how many days up to now it all came about.
    """

    tasks: int = 20_000
    subtasks: float = 0.6
    nested: float = 0.1
    comments: int = 3_000
    replies: float = 0.1
    busy: int = 3
    docs: int = 120
    pages: int = 3
    spaces: int = 4
    folders: int = 3
    lists: int = 40
    closed: float = 0.2
    archived: float = 0.03
    several_lists: float = 0.02
    dependencies: float = 0.03
    links: float = 0.02
    checklists: float = 0.03
    tags: float = 0.15
    fields: float = 0.2
    assignees: float = 0.6
    entries: int = 200
    attachments: float = 0.01
    ties: int = 150
    days: int = 365


def found(workspace: Workspace, **wanted: float) -> Size:
    """Fill an empty workspace; `wanted` are attributes of `Size`, which is returned as it was used."""
    size = Size(**wanted)  # type: ignore[arg-type]  # whole numbers are numbers
    founder = _Founder(workspace, size)
    founder.hierarchy()
    founder.tasks()
    founder.comments()
    founder.papers()
    founder.ties()
    return size


class _Founder:
    def __init__(self, workspace: Workspace, size: Size) -> None:
        self._workspace = workspace
        self._size = size
        self._chance = workspace.random_for("bulk")
        self._now = workspace.now()
        self._start = self._now - size.days * _DAY
        self._people = [one.id for one in workspace.colleagues()]
        self._lists: list[str] = []
        self._fields: dict[str, list[CustomField]] = {}
        self._tops: dict[str, list[Task]] = {}
        self._made: list[Task] = []

    def hierarchy(self) -> None:
        """Spaces with folders, one of them inside another, and lists in all of them."""
        workspace, names, folders = self._workspace, list(phrases.SPACES), list[str]()
        for at in range(self._size.spaces):
            made = workspace.create_space(f"{names[at % len(names)]} {at + 1}")
            space_id = made[0]["space_id"]
            self._lists.append(made[1]["list_id"])
            mine: list[str] = []
            for nth in range(self._size.folders):
                parent = mine[0] if 0 < nth == self._size.folders - 1 else space_id
                mine.append(workspace.create_folder(parent, f"Folder {at + 1}.{nth + 1}")[0]["folder_id"])
            folders += mine or [space_id]
            creator = self._people[0]
            workspace.spaces[space_id].tags |= {
                one: Tag(name=one, foreground="#ffffff", background="#5f55ee", creator=creator) for one in phrases.TAGS
            }
        for nth in range(self._size.lists - len(self._lists)):
            name = f"{phrases.LISTS[nth % len(phrases.LISTS)]} {nth + 1}"
            self._lists.append(workspace.create_list(folders[nth % len(folders)], name)[0]["list_id"])
        workspace.add_field(workspace.team_id, "Customer", "short_text")
        for list_id in self._lists[:: max(len(self._lists) // 10, 1)]:
            workspace.add_field(list_id, "Audience", "drop_down", options=phrases.AUDIENCES)
        self._fields = {one: workspace.fields_of(one) for one in self._lists}
        self._tops = {one: [] for one in self._lists}

    def tasks(self) -> None:
        """Tasks and subtasks, older ones first, with everything that can hang on one but comments."""
        span = max(self._now - self._start, 1)
        for at in range(self._size.tasks):
            created = self._start + span * at // self._size.tasks
            list_id = self._chance.choice(self._lists)
            tops = self._tops[list_id]
            parent = self._chance.choice(tops) if tops and self._chance.random() < self._size.subtasks else None
            task = self._task(at, list_id, created, parent)
            if parent is None or self._happens(self._size.nested):
                tops.append(task)
            self._made.append(task)
            self._dress(task)
            self._workspace.insert_task(task)

    def comments(self) -> None:
        """Comments, more than a page on the busy tasks, some of them answered."""
        rest = self._size.comments
        per_task: Counter[int] = Counter()
        for at in range(self._size.busy):
            if rest >= _BUSY_COMMENTS and at < len(self._made):
                per_task[at * len(self._made) // self._size.busy] = _BUSY_COMMENTS
                rest -= _BUSY_COMMENTS
        if self._made:
            per_task.update(self._chance.randrange(len(self._made)) for _ in range(rest))
        for at, count in per_task.items():
            self._discuss(self._made[at], count)

    def papers(self) -> None:
        """Docs with pages, time entries, and a few goals."""
        workspace = self._workspace
        parents = (None, *workspace.spaces, *self._lists[:3])
        for at in range(self._size.docs):
            doc = workspace.create_doc(f"Doc {at + 1}", parents[at % len(parents)], by=self._somebody())
            above: str | None = None
            for nth in range(self._size.pages):
                parent = above if nth % 3 == 2 else None
                words = self._chance.choice(phrases.DESCRIPTIONS)
                above = workspace.add_page(doc.id, f"Page {nth + 1}", words, parent=parent).id
            if at % 20 in (7, 13):
                (workspace.archive_doc if at % 20 == 7 else workspace.delete_doc)(doc.id)
        for at in range(self._size.entries if self._made else 0):
            task, spent = self._chance.choice(self._made), self._chance.randint(1, 8) * _HOUR
            start = self._now - (at + 1) * 90 * _DAY // self._size.entries
            workspace.insert_entry(
                TimeEntry(
                    id=workspace.ids.number("history"),
                    task_id=task.id,
                    user=self._somebody(),
                    start=start,
                    end=start + spent,
                    added=start + spent,
                )
            )
            task.time_spent = (task.time_spent or 0) + spent
        folder = workspace.create_goal_folder("This year")
        for at, name in enumerate(phrases.GOALS):
            workspace.create_goal(name, folder_id=folder.id if at == 0 else None)

    def ties(self) -> None:
        """Somebody changed many tasks at once: they share the millisecond."""
        ties = min(self._size.ties, len(self._made))
        first = (len(self._made) - ties) // 2
        moment = max((one.updated for one in self._made[first : first + ties]), default=0)
        for one in self._made[first : first + ties]:
            one.updated = moment
            self._workspace.order.changed(one.id)

    def _task(self, at: int, list_id: str, created: int, parent: Task | None) -> Task:
        chance, statuses = self._chance, self._workspace.statuses_of(list_id)
        status = statuses[-1] if self._happens(self._size.closed) else statuses[at % (len(statuses) - 1)]
        updated = created + int((self._now - created) * chance.random() ** 4)
        return Task(
            id=self._workspace.ids.task(),
            name=f"{steps.title(chance)} #{at + 1}",
            description=chance.choice(("", *phrases.DESCRIPTIONS)),
            status=status,
            list_id=list_id,
            creator=self._somebody(),
            created=created,
            updated=updated,
            orderindex=at + 1,
            parent=None if parent is None else parent.id,
            closed=updated if status.kind == "closed" else None,
            done=updated if status.kind in ("done", "closed") else None,
            priority=chance.choice((None, None, 1, 2, 3, 4)),
            due_date=updated + _DAY if at % 4 == 0 else None,
            archived=self._happens(self._size.archived),
        )

    def _dress(self, task: Task) -> None:
        """Give a task what hangs on it, before it is put in."""
        chance, size, ids, by, at = self._chance, self._size, self._workspace.ids, task.creator, task.created
        if self._happens(size.assignees):
            task.assignees = chance.sample(self._people, chance.choice((1, 1, 1, 2, 3)))
        if self._happens(size.tags):
            task.tags = chance.sample(phrases.TAGS, chance.randint(1, 3))
        if self._happens(size.several_lists):
            task.also_in = [one for one in [chance.choice(self._lists)] if one != task.list_id]
        if self._happens(size.dependencies):
            other = chance.choice(self._made)
            task.dependencies = [Link(task_id=task.id, other_id=other.id, user=by, created=at)]
        if self._happens(size.links):
            other = chance.choice(self._made)
            task.links = [Link(task_id=task.id, other_id=other.id, user=by, created=at)]
            other.links = [*other.links, Link(task_id=other.id, other_id=task.id, user=by, created=at)]
        if self._happens(size.checklists):
            items = [ChecklistItem(id=ids.uuid(), name=one, created=at) for one in phrases.CHECKLIST]
            task.checklists = [Checklist(id=ids.uuid(), name="Before", creator=by, created=at, items=items)]
        if self._happens(size.fields):
            for one in self._fields[task.list_id]:
                task.values[one.id] = chance.choice(one.options).id if one.options else f"NW-{task.orderindex}"
        if self._happens(size.attachments):
            file = Attachment(
                id=f"{ids.uuid()}.pdf",
                title="Report.pdf",
                extension="pdf",
                mimetype="application/pdf",
                size=4096,
                user=by,
                date=at,
            )
            task.attachments = [file]

    def _discuss(self, task: Task, count: int) -> None:
        chance, ids, top = self._chance, self._workspace.ids, list[Comment]()
        dates = sorted(task.created + int((self._now - task.created) * chance.random()) for _ in range(count))
        for date in dates:
            parent = chance.choice(top) if top and self._happens(self._size.replies) else None
            made = Comment(
                id=ids.number("comment"),
                task_id=task.id,
                text=chance.choice(phrases.REMARKS if parent is None else phrases.REPLIES),
                user=self._somebody(),
                date=date,
                history_id=ids.number("history"),
                block_id="block-" + ids.uuid(),
                reply_to=None if parent is None else parent.id,
            )
            if parent is None:
                top.append(made)
            self._workspace.insert_comment(made)
        task.updated = max(task.updated, dates[-1])

    def _happens(self, share: float) -> bool:
        """Chance decides; never before there is another task."""
        return self._chance.random() < share and bool(self._made)

    def _somebody(self) -> int:
        return self._chance.choice(self._people)
