"""The rate limit: how many requests a token has in a window, and a record of how many it made.

ClickUp's limit is a token's and a minute's (official); whether the window is fixed or sliding is unconfirmed, so both
are here. A fixed window starts with its first request; a sliding one forgets each admitted request after a window's
time. Refused requests do not use up anything (assumed).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

WINDOW_SECONDS = 60.0
REMEMBERED_WINDOWS = 10_000


@dataclass(slots=True, kw_only=True)
class Window:
    """What one token did in one window. `token` is None for requests without a valid one.

    With a sliding limit this is only the record of a stretch of time, not what decides.
    """

    token: str | None
    start: float
    admitted: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a token stands after a request: what the X-RateLimit headers say. `reset` is in epoch seconds."""

    limit: int
    remaining: int
    reset: float
    admitted: bool


class Meter:
    """Counts requests and admits `limit` a window and token; `windows` is the record, oldest first."""

    def __init__(
        self,
        *,
        limit: int,
        clock: Callable[[], datetime],
        window_seconds: float = WINDOW_SECONDS,
        sliding: bool = False,
    ) -> None:
        self.limit = limit
        self.window_seconds = window_seconds
        self.sliding = sliding
        self.windows: deque[Window] = deque(maxlen=REMEMBERED_WINDOWS)
        self._clock = clock
        self._open: dict[str | None, Window] = {}
        self._recent: dict[str | None, deque[float]] = {}

    @property
    def admitted(self) -> int:
        """How many requests were admitted in all remembered windows."""
        return sum(one.admitted for one in self.windows)

    @property
    def refused(self) -> int:
        """How many requests were refused in all remembered windows."""
        return sum(one.refused for one in self.windows)

    def count(self, token: str | None, *, barred_until: float | None = None) -> Standing:
        """Count one request; until `barred_until`, in epoch seconds, none is admitted."""
        now = self._clock().timestamp()
        window = self._window(token, now)
        used, reset = self._used(token, window, now)
        admitted = used < self.limit
        if barred_until is not None and now < barred_until:
            admitted, reset, used = False, barred_until, self.limit
        if admitted:
            used += 1
            window.admitted += 1
            if self.sliding:
                self._recent[token].append(now)
        else:
            window.refused += 1
        return Standing(limit=self.limit, remaining=max(self.limit - used, 0), reset=reset, admitted=admitted)

    def _window(self, token: str | None, now: float) -> Window:
        window = self._open.get(token)
        if window is None or not window.start <= now < window.start + self.window_seconds:
            window = self._open[token] = Window(token=token, start=now)
            self.windows.append(window)
        return window

    def _used(self, token: str | None, window: Window, now: float) -> tuple[int, float]:
        """How many requests count against the token now, and when at least one of them no longer does."""
        if not self.sliding:
            return window.admitted, window.start + self.window_seconds
        recent = self._recent.setdefault(token, deque())
        while recent and recent[0] + self.window_seconds <= now:
            recent.popleft()
        return len(recent), (recent[0] if recent else now) + self.window_seconds
