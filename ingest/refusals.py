"""Why a delivery is not accepted: names, answers, and how many of them are said in the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

RETRY_AFTER_SECONDS: Final = "5"
WINDOW_SECONDS: Final = 60.0
LINES: Final = 60


class Reason(NamedTuple):
    """Why a delivery is not accepted: its name in logs and metrics, and the answer."""

    outcome: str
    status: int
    headers: Mapping[str, str] | None = None


class Refusal(Exception):
    """A delivery that is not accepted."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.outcome)
        self.reason = reason


AGAIN: Final = {"retry-after": RETRY_AFTER_SECONDS}
CLOSE: Final = {"connection": "close"}
"""The rest of the body is not read, so the connection cannot serve another request."""

UNKNOWN_PROVIDER: Final = Reason("unknown_provider", 404)
UNKNOWN_INTEGRATION: Final = Reason("unknown_integration", 404)
BAD_SIGNATURE: Final = Reason("bad_signature", 403)
TOO_LARGE: Final = Reason("too_large", 413, CLOSE)
TOO_SLOW: Final = Reason("too_slow", 408, CLOSE)
CROWDED: Final = Reason("crowded", 503, AGAIN | CLOSE)
DISCONNECTED: Final = Reason("disconnected", 400, CLOSE)
NOT_LOADED: Final = Reason("secrets_not_loaded", 503, AGAIN)
SECRET_UNUSABLE: Final = Reason("secret_unusable", 503, AGAIN)
SPOOL_FULL: Final = Reason("spool_full", 503, AGAIN)
UNAVAILABLE: Final = Reason("unavailable", 503, AGAIN)


class Sparing:
    """Who knows no secret cannot fill a disk: of each refusal `LINES` are said in `WINDOW_SECONDS`, all are counted."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._windows: dict[str, tuple[float, int]] = {}
        self._unsaid: dict[str, int] = {}

    def left_out(self, outcome: str) -> int | None:
        """How many were left out since the last line about this outcome; None: this one is left out, too."""
        now = self._monotonic()
        began, said = self._windows.get(outcome, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, said = now, 0
        if said >= LINES:
            self._unsaid[outcome] = self._unsaid.get(outcome, 0) + 1
            return None
        self._windows[outcome] = (began, said + 1)
        return self._unsaid.pop(outcome, 0)
