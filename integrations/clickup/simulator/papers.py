"""What the workspace holds beside its hierarchy and tasks: docs with pages, attachments, time entries, goals.

One record a kind, as plain data, like `records.py`.
"""

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Page:
    """A page of a doc, or a page below another one. Its dates go out as numbers."""

    id: str
    doc_id: str
    name: str
    content: str
    creator: int
    created: int
    updated: int
    parent_id: str | None = None
    edited: int | None = None
    edited_by: int | None = None
    archived: bool = False
    deleted: bool = False


@dataclass(slots=True, kw_only=True)
class Doc:
    """A doc with its pages in order; `parent_type` is 4 space, 5 folder, 6 list, 7 everything, 12 workspace."""

    id: str
    number: int
    name: str
    parent_id: str
    parent_type: int
    creator: int
    created: int
    updated: int
    pages: dict[str, Page] = field(default_factory=dict)
    archived: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file on a task; `id` is a uuid with the extension."""

    id: str
    title: str
    extension: str
    mimetype: str
    size: int
    user: int
    date: int


@dataclass(slots=True, kw_only=True)
class TimeEntry:
    """Time somebody worked; while `end` is None the timer runs. Without a task it belongs to the workspace only."""

    id: str
    task_id: str | None
    user: int
    start: int
    end: int | None
    added: int
    description: str = ""
    billable: bool = False


@dataclass(slots=True, kw_only=True)
class GoalFolder:
    """A folder of goals."""

    id: str
    name: str
    creator: int
    created: int


@dataclass(slots=True, kw_only=True)
class KeyResult:
    """A target of a goal, counted from `start` to `end`."""

    id: str
    goal_id: str
    name: str
    unit: str
    creator: int
    created: int
    start: int
    current: int
    end: int


@dataclass(slots=True, kw_only=True)
class Goal:
    """A goal of the workspace."""

    id: str
    number: int
    name: str
    description: str
    creator: int
    created: int
    updated: int
    due_date: int | None
    folder_id: str | None = None
    key_results: dict[str, KeyResult] = field(default_factory=dict)
    archived: bool = False

    @property
    def percent_completed(self) -> int:
        """The mean progress of the key results in whole percent, 0 without any."""
        if not self.key_results:
            return 0
        done = [(one.current - one.start) / max(one.end - one.start, 1) for one in self.key_results.values()]
        return round(100 * sum(done) / len(done))
