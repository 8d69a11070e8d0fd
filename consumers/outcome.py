"""What becomes of a delivery, decided as a value. Pure.

handled            -> Done
Held               -> Hold              in hand for a moment: what it needs is about to be asked for many at once
Refused            -> DeadLetter        it can never succeed
Postponed          -> Retry             the world is not ready; about a day, then DeadLetter
any other error    -> Retry             perhaps a bug; a few times, then DeadLetter
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

POSTPONED_ATTEMPTS: Final = 60
"""With the default ladder (1 s to 30 min) somewhat more than a day."""
FAILED_ATTEMPTS: Final = 5
REASON_LENGTH: Final = 500


class Refused(Exception):
    """This event can never be handled; the message says why."""


class Postponed(Exception):
    """Something outside is not ready: not the event's fault."""


class Held(Exception):
    """Not yet: hand it in again in so many seconds. No try, and no failure."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"held for {seconds:.1f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Done:
    """Its effect is committed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep it in hand, unsettled, for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after the ladder's delay."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Keep it aside for people."""

    reason: str


Outcome = Done | Hold | Retry | DeadLetter


def decide(error: Exception | None, *, attempt: int) -> Outcome:
    """The outcome of a try. `attempt` counts from 1."""
    if error is None:
        return Done()
    if isinstance(error, Held):
        return Hold(error.seconds)
    if isinstance(error, Refused):
        return DeadLetter(reason(error))
    if attempt >= (POSTPONED_ATTEMPTS if isinstance(error, Postponed) else FAILED_ATTEMPTS):
        return DeadLetter(f"gave up after {attempt} tries: {reason(error)}")
    return Retry(reason(error))


def reason(error: Exception) -> str:
    """Why a try failed, in one line that quotes no payload."""
    return _line(error) if isinstance(error, Refused | Postponed) else where(error)


def where(error: Exception) -> str:
    """An unforeseen error without its message, which may quote a payload: its kind and where it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}{place}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:REASON_LENGTH]
