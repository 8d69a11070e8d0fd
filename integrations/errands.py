"""Errands: walks over a whole source, page by page, that a killed process can go on with. Values only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from schema.records import Record, Ref

IMPORT: Final = "import"
SYNC: Final = "sync"
SWEEP: Final = "sweep"

Checkpoint = Mapping[str, Any]
"""Where to go on, as JSON; only the provider reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to leave out of an errand; nothing by default.

    Attributes:
        spaces: only what is in these spaces, or in the lists.
        lists: only what is in these lists, or in the spaces; both empty = everywhere.
        archived: also what is archived.
        closed: also closed tasks.
        comments: also comments.
        docs: also documents.
        goals: also goals.
        since: instead of the cursor, epoch milliseconds.
    """

    spaces: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    archived: bool = True
    closed: bool = True
    comments: bool = True
    docs: bool = True
    goals: bool = True
    since: int | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is left out, so that what is not met is not there any more."""
        return self == Options(since=self.since)

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Options:
        """From JSON; unknown names are ignored, so that old jobs run on new code and the other way round."""
        given: dict[str, Any] = {
            name: tuple(map(str, value)) if isinstance(value, list) else value
            for name, value in options.items()
            if name in cls.__slots__
        }
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One walk.

    Attributes:
        kind: IMPORT reads everything; SYNC what changed since the cursor; SWEEP everything, to find what is gone.
        checkpoint: where an interrupted one goes on.
        cursor: everything the source changed before this (epoch milliseconds) is known already; None = nothing is.
    """

    kind: str
    options: Options = field(default_factory=Options)
    checkpoint: Checkpoint | None = None
    cursor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One object that could not be taken over; the walk went on."""

    type: str
    id: str
    reason: str
    raw: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One step of a walk: what to write in one transaction, and where to go on after it.

    Attributes:
        observed_at: the database's time before the source was asked for it.
        records: what was read.
        seen: what was met without being read.
        complete: pairs of a container and a type: all its objects of that type are in `records`.
        failures: what could not be read or understood.
        phase: a word for people.
        total: steps of the whole walk, as far as can be told; `done` of them are behind us.
        checkpoint: where to go on after this page.
        last: there is no page after this one.
        covers: on the last page, the types of which everything was met: what was not is not listed any more.
        reached: on the last page, everything the source changed before this (epoch milliseconds) was read.
    """

    observed_at: datetime
    phase: str
    records: Sequence[Record] = ()
    seen: Collection[Ref] = ()
    complete: Collection[tuple[Ref, str]] = ()
    failures: Sequence[Failure] = ()
    done: int = 0
    total: int | None = None
    checkpoint: Checkpoint | None = None
    last: bool = False
    covers: frozenset[str] = frozenset()
    reached: int | None = None
