"""What the simulated workspace is made of: one record a kind of ClickUp object, as plain data.

Times are epoch milliseconds, ids are text except users' (as on ClickUp's wire). How a record looks over REST is
`rendering.py`, how a change to it looks in a webhook is `history.py`; how it changes is the workspace's.
"""

from dataclasses import dataclass, field

from integrations.clickup.simulator.papers import Attachment

SUSPEND_AT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person of the workspace. An invited guest has neither name nor colour yet (observed)."""

    id: int
    username: str | None
    email: str
    color: str | None
    initials: str | None
    picture: str | None
    role: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One column of a workflow; `kind` is ClickUp's type: open, custom, done or closed."""

    id: str
    name: str
    kind: str
    color: str
    orderindex: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag of a space. ClickUp knows tags by name; they have no id (official)."""

    name: str
    foreground: str
    background: str
    creator: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One choice of a drop-down field."""

    id: str
    name: str
    color: str | None
    orderindex: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomField:
    """The definition of a custom field; `kind` is ClickUp's type, for example drop_down or short_text.

    With `applied_to` only tasks of these custom task types have it.
    """

    id: str
    name: str
    kind: str
    options: tuple[Option, ...]
    creator: int
    created: int
    applied_to: tuple[int, ...] = ()


@dataclass(slots=True, kw_only=True)
class Space:
    """A space, with the workflow its lists inherit and the hidden folder its folderless lists hang in."""

    id: str
    name: str
    private: bool
    statuses: tuple[Status, ...]
    hidden_folder_id: str
    tags: dict[str, Tag] = field(default_factory=dict)
    field_ids: list[str] = field(default_factory=list)
    archived: bool = False


@dataclass(slots=True, kw_only=True)
class Folder:
    """A folder, one inside the folder `parent_id`, or the hidden pseudo-folder of a space's folderless lists."""

    id: str
    name: str
    space_id: str
    orderindex: int
    parent_id: str | None = None
    field_ids: list[str] = field(default_factory=list)
    hidden: bool = False
    archived: bool = False


@dataclass(slots=True, kw_only=True)
class TaskList:
    """A list. `statuses` is None while it follows its space."""

    id: str
    name: str
    folder_id: str
    space_id: str
    orderindex: int
    content: str | None
    statuses: tuple[Status, ...] | None = None
    field_ids: list[str] = field(default_factory=list)
    archived: bool = False


@dataclass(slots=True, kw_only=True)
class ChecklistItem:
    """One line of a checklist."""

    id: str
    name: str
    created: int
    resolved: bool = False


@dataclass(slots=True, kw_only=True)
class Checklist:
    """A checklist of a task."""

    id: str
    name: str
    creator: int
    created: int
    items: list[ChecklistItem]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One task waiting on another, or merely linked with it."""

    task_id: str
    other_id: str
    user: int
    created: int


@dataclass(slots=True, kw_only=True)
class Task:
    """A task or subtask in its home list; `kind` is the number of its custom task type, 0 for a plain task."""

    id: str
    name: str
    description: str
    status: Status
    list_id: str
    creator: int
    created: int
    updated: int
    orderindex: int
    parent: str | None = None
    kind: int = 0
    closed: int | None = None
    done: int | None = None
    assignees: list[int] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    priority: int | None = None
    due_date: int | None = None
    due_date_time: bool = False
    time_estimate: int | None = None
    time_spent: int | None = None
    values: dict[str, object] = field(default_factory=dict)
    checklists: list[Checklist] = field(default_factory=list)
    dependencies: list[Link] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    also_in: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    archived: bool = False


@dataclass(slots=True, kw_only=True)
class Comment:
    """A comment on a task or list, or a reply to one; `task_id` is what it is on.

    Its edits reuse `history_id`, as in the official samples.
    """

    id: str
    task_id: str
    text: str
    user: int
    date: int
    history_id: str
    block_id: str
    reply_to: str | None = None
    resolved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the hierarchy something lies, as far down as it goes; it decides which scoped hooks hear of it."""

    space_id: str | None = None
    folder_id: str | None = None
    list_id: str | None = None
    task_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Webhook:
    """A registered webhook with its health, which follows ClickUp docs, webhook health (official).

    A suspended hook stays so until it is reactivated: an answer that was still under way changes nothing.
    """

    id: str
    secret: str
    userid: int
    endpoint: str
    events: tuple[str, ...]
    client_id: str
    scope: Place
    status: str = "active"
    fail_count: int = 0

    @property
    def suspended(self) -> bool:
        """Whether nothing is sent to it any more."""
        return self.status == "suspended"

    def wants(self, event: str, place: Place) -> bool:
        """Whether this event, which happened there, is to be sent: the most specific scope id wins (official)."""
        if "*" not in self.events and event not in self.events:
            return False
        for level in ("task_id", "list_id", "folder_id", "space_id"):
            if (wanted := getattr(self.scope, level)) is not None:
                return bool(wanted == getattr(place, level))
        return True

    def attempt_succeeded(self) -> None:
        """A success makes the hook active again and forgets the failures."""
        if not self.suspended:
            self.status, self.fail_count = "active", 0

    def attempt_failed(self, *, opted_out: bool) -> None:
        """Any failed attempt marks the hook failing; an answer of 401 or 410 suspends it at once."""
        if not self.suspended:
            self.status = "suspended" if opted_out else "failing"

    def event_lost(self) -> None:
        """An event ran out of attempts: the hundredth suspends."""
        if not self.suspended:
            self.fail_count += 1
            self.status = "suspended" if self.fail_count >= SUSPEND_AT else "failing"

    def reactivate(self) -> None:
        """Set active by its owner; that this forgets the failures is assumed."""
        self.status, self.fail_count = "active", 0
