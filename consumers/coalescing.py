"""When to read, and who waits for it: bursts about one thing cost one read.

What a delivery states is in the row already, so the read that confirms it may wait: until `window` seconds after the
last delivery, and no longer than `CONFIRM` windows after the first. What a delivery does not state is read at once,
unless the same thing was read just now: then after a window, but no more than `FRESH_SECONDS`. A read satisfies every
delivery heard before it began.

Pure but for what it remembers; the clock is an argument, in seconds that only grow.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from uuid import UUID

CONFIRM: Final = 5.0
"""In windows."""
FRESH_SECONDS: Final = 0.7
"""With the read itself, what is not stated is in its row within the second that we promise."""
PRESSED: Final = 1000
"""With so many deliveries in hand, none waits longer than it must: no thing is read twice in a window."""
FORGET_SECONDS: Final = 120.0
KEPT: Final = 10_000


Kept = TypeVar("Kept")


@dataclass(slots=True)
class _Thing(Generic[Kept]):
    """One thing that may be read, on the clock: when it was asked for and read. None: nobody waits for it.

    `kept`: of the deliveries that are held until then.
    """

    urgent: float | None = None
    first: float | None = None
    last: float = 0.0
    began: float = float("-inf")
    covered: float = float("-inf")
    kept: dict[UUID, Kept] = field(default_factory=dict)


@dataclass(slots=True)
class _Heard:
    thing: Hashable
    at: float


class Windows(Generic[Kept]):
    """What is waited for in this process. A thing is anything hashable that is read at a time.

    Of a delivery that is held, something is kept: what it takes to settle it along with another one.
    """

    def __init__(self, *, window: float) -> None:
        self._window = window
        self._things: dict[Hashable, _Thing[Kept]] = {}
        self._heard: dict[UUID, _Heard] = {}
        self._forgot = float("-inf")

    def heard(self, event_id: UUID) -> bool:
        """Whether this delivery is waiting."""
        return event_id in self._heard

    def hear(self, event_id: UUID, thing: Hashable, *, urgent: bool, now: float) -> None:
        """A delivery asks for a thing."""
        if len(self._things) > KEPT and now - self._forgot > FORGET_SECONDS / 10:
            self._forget(now)
        self._heard[event_id] = _Heard(thing, now)
        state = self._things.setdefault(thing, _Thing())
        if urgent and state.urgent is None:
            state.urgent = now
        if state.first is None:
            state.first = now
        state.last = now

    def satisfied(self, event_id: UUID) -> bool:
        """Whether its thing was read since it was heard."""
        heard = self._heard[event_id]
        return heard.at <= self._things[heard.thing].covered

    def due(self, event_id: UUID) -> float:
        """When its thing is to be read, as far as is known now."""
        state = self._things[self._heard[event_id].thing]
        again = state.began + self._window
        if state.urgent is not None:
            return max(state.urgent, state.began + min(self._window, FRESH_SECONDS))
        if state.first is None:  # its read failed, or is under way
            return again
        longest = self._window * CONFIRM if len(self._heard) < PRESSED else 0.0
        return max(min(state.last + self._window, state.first + longest), again)

    def hold(self, event_id: UUID, kept: Kept) -> None:
        """This delivery is held."""
        self._things[self._heard[event_id].thing].kept[event_id] = kept

    def holding(self, thing: Hashable) -> list[tuple[float, Kept]]:
        """What is kept of those that are held for a thing, and when each was heard."""
        return [(self._heard[event_id].at, kept) for event_id, kept in self._things[thing].kept.items()]

    def begin(self, reads: Mapping[Hashable, float]) -> None:
        """These are being read, each since when; whoever is heard later waits for another read."""
        for thing, began in reads.items():
            state = self._things[thing]
            if state.began < began:
                state.began, state.urgent, state.first = began, None, None

    def cover(self, reads: Mapping[Hashable, float]) -> None:
        """What was read of these since then is stored."""
        for thing, began in reads.items():
            state = self._things.setdefault(thing, _Thing())
            state.covered = max(state.covered, began)

    def settle(self, event_ids: Iterable[UUID]) -> None:
        """These wait no longer."""
        for event_id in event_ids:
            if (heard := self._heard.pop(event_id, None)) is not None:
                self._things[heard.thing].kept.pop(event_id, None)

    def _forget(self, now: float) -> None:
        """Things nobody waits for, and deliveries that went back to the broker long ago."""
        self._forgot = now
        old = now - max(FORGET_SECONDS, 2 * CONFIRM * self._window)
        self.settle([id_ for id_, heard in self._heard.items() if heard.at <= old])
        waited = {heard.thing for heard in self._heard.values()}
        self._things = {thing: state for thing, state in self._things.items() if thing in waited or state.began > old}
