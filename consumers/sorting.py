"""Which deliveries of a batch are looked into now: decided from what they say and how their rows stand.

Pure but for the windows, which remember what is waited for.
"""

from __future__ import annotations

import operator
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from consumers.coalescing import Windows
from consumers.outcome import Held
from events.envelope import Envelope
from integrations.registry import Preview
from schema.amendments import Standing
from schema.postgres import Row
from schema.records import Ref

Known = Mapping[UUID, Mapping[Ref, Standing]]
"""Of each integration, how its rows stand that live."""
Versions = Mapping[tuple[UUID, Ref], datetime | None]
"""Of what was read, when the source changed it last."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One fresh event of an enabled integration, and what it says by itself."""

    envelope: Envelope
    integration: Row
    preview: Preview

    @property
    def thing(self) -> Hashable:
        """What is read for it; None for nothing."""
        read = self.preview.read
        return None if read is None else (self.envelope.integration_id, read)


@dataclass(slots=True)
class Sorted:
    """A batch: to be looked into now, done without a look of its own, or held; and what is read, since when.

    `superseded`: held, here or before, beside one of a later change.
    """

    due: list[Heard] = field(default_factory=list)
    done: list[Heard] = field(default_factory=list)
    held: dict[UUID, Exception] = field(default_factory=dict)
    superseded: list[Heard] = field(default_factory=list)
    reads: dict[Hashable, float] = field(default_factory=dict)


def sort(windows: Windows[Heard], known: Known, heard: Sequence[Heard], *, now: float) -> Sorted:
    """Decide for each whether to look now.

    A replay looks whatever is known: perhaps what is known is wrong.
    """
    batched = Sorted(due=[one for one in heard if one.thing is None or one.envelope.replayed])
    waiting: set[Hashable] = set()
    for id_, group in by_integration([one for one in heard if one.thing is not None and not one.envelope.replayed]):
        rows = known[id_]
        for one in group:
            if not windows.heard(one.envelope.id):
                urgent = not (one.preview.complete and one.preview.ref in rows)
                windows.hear(one.envelope.id, one.thing, urgent=urgent, now=now)
        for one in group:
            if _read_since(one.preview, rows) or (one.preview.shared and windows.satisfied(one.envelope.id)):
                batched.done.append(one)
            elif one.thing not in batched.reads and (wait := windows.due(one.envelope.id) - now) > 0:
                batched.held[one.envelope.id] = Held(wait)
                if one.preview.shared:
                    windows.hold(one.envelope.id, one)
                    waiting.add(one.thing)
            else:
                batched.due.append(one)
                batched.reads[one.thing] = now
    windows.begin(batched.reads)
    for thing in waiting:
        batched.superseded += _superseded([one for _, one in windows.holding(thing)])
    return batched


def _superseded(held: Sequence[Heard]) -> list[Heard]:
    """Of those held for one thing, who states all it tells of, and is not of the latest change.

    What satisfies that one satisfies them: a look that has its change, or a row that does, has theirs. So a thing that
    changes all the time fills no hand, and one delivery is enough to see to it that it is read.
    """
    stated = [(one.preview.changed_at, one) for one in held if one.preview.complete]
    dated = [(changed_at, one) for changed_at, one in stated if changed_at is not None]
    latest = max(dated, key=operator.itemgetter(0), default=(None, None))[1]
    return [one for _, one in dated if one is not latest]


def along(windows: Windows[Heard], reads: Mapping[Hashable, float], versions: Versions) -> list[Heard]:
    """Who is held for what was read and needs no look any more: heard before that began, or of a change that it has."""
    return [
        one
        for thing, began in reads.items()
        for at, one in windows.holding(thing)
        if at <= began or _shown(one.preview, _version(one, versions))
    ]


def _version(one: Heard, versions: Versions) -> datetime | None:
    return versions.get((one.envelope.integration_id, one.preview.ref)) if one.preview.ref is not None else None


def _read_since(preview: Preview, rows: Mapping[Ref, Standing]) -> bool:
    row = rows.get(preview.ref) if preview.ref is not None else None
    return row is not None and _shown(preview, row.version)


def _shown(preview: Preview, version: datetime | None) -> bool:
    """Whether a version is one that the source made at the time of this change, or later."""
    return version is not None and preview.changed_at is not None and version >= preview.changed_at


def by_integration(heard: Sequence[Heard]) -> list[tuple[UUID, list[Heard]]]:
    """In one order for everybody, so that two batches lock alike."""
    groups: dict[UUID, list[Heard]] = {}
    for one in heard:
        groups.setdefault(one.envelope.integration_id, []).append(one)
    return sorted(groups.items())
