"""One rate budget a token for the whole installation: who may call a source's API now.

Promises: a call is made inside a turn; turns are given by priority (webhook reads, then syncs, then imports), in
equal shares to the integrations that wait and to the processes of each; what a source says of its limit in any
answer holds for everybody at once; a process that dies gives back what it held. The rules are `kb.api_turns` in
`schema/migrations/0005_following.sql`.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import IntEnum
from typing import Final, Protocol
from uuid import UUID, uuid4

from integrations import metrics
from schema.postgres import Database

TOO_MANY: Final = 429
WINDOW_SECONDS: Final = 60.0


class Priority(IntEnum):
    """Who goes first."""

    WEBHOOK = 0
    SYNC = 1
    IMPORT = 2


class Turn(Protocol):
    """The right to make one call."""

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Say what the source answered, so that its limit is learnt. Left out when there was no answer."""


class Turns(Protocol):
    """Gives turns."""

    def turn(self) -> AbstractAsyncContextManager[Turn]:
        """Wait for a turn and hold it while inside.

        Raises:
            schema.errors.DatabaseUnavailable: nobody can say whose turn it is.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the headers of an answer say of the limit.

    Attributes:
        calls: a window.
        remaining: of them.
        reset: when the window ends, epoch seconds of the source's clock.
        resets_in: the same as seconds from now.
    """

    calls: int
    remaining: int
    reset: int
    resets_in: float


def said(headers: Mapping[str, str]) -> Said | None:
    """Read X-RateLimit-Limit, -Remaining and -Reset (epoch seconds, observed); None where they are not all there.

    Reset is read against the answer's own `Date`: the two clocks need not agree.
    """
    try:
        calls, remaining = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
        reset = int(float(headers["x-ratelimit-reset"]))
        date = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None
    if calls < 1 or not 0 <= reset <= 2**40:
        return None
    # longer than a minute is a clock gone wrong somewhere
    resets_in = min(max(reset - date, 0.0), WINDOW_SECONDS)
    return Said(calls=calls, remaining=min(max(remaining, 0), calls), reset=reset, resets_in=resets_in)


def blocked(headers: Mapping[str, str]) -> float:
    """Seconds to stay away after a 429: until the reset or Retry-After; a minute at most, and if nothing is said."""
    told = said(headers)
    try:
        return min(max(float(headers["retry-after"]), 1.0), WINDOW_SECONDS)
    except (KeyError, ValueError):
        return min(max(told.resets_in, 1.0), WINDOW_SECONDS) if told else WINDOW_SECONDS


class Budget:
    """The budgets of all tokens, as one process sees them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lines: dict[tuple[str, UUID, Priority], _Line] = {}

    def turns(self, *, url: str, token: str, integration_id: UUID, priority: Priority) -> Turns:
        """Turns to call `url` with this token, for an integration."""
        key = hashlib.blake2b(f"{url}\0{token}".encode(), digest_size=16).hexdigest()
        return self._lines.setdefault(
            (key, integration_id, priority), _Line(self._database, key, integration_id, priority)
        )


@dataclass(slots=True, eq=False)
class _Turn:
    line: _Line
    told: bool = False

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        self.told = True
        metrics.called(self.line.priority.name.lower(), status)
        self.line.learn(said(headers), blocked(headers) if status == TOO_MANY else None)


@dataclass(slots=True, eq=False)
class _Line:
    """Those of this process who wait for the same budget with the same priority. One of them at a time asks for all.

    `told` is what the database has of us: how many wait, and how many turns are held.
    """

    database: Database
    key: str
    integration_id: UUID
    priority: Priority
    caller: UUID = field(default_factory=uuid4)
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    open: int = 0
    told: tuple[int, int] = (0, 0)
    answers: int = 0
    latest: Said | None = None
    blocked_for: float | None = None
    asking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(mine)
        self._ask()
        began = time.monotonic()
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled() and mine.exception() is None:
                self.open -= 1  # granted at the very moment
            self._ask()
            raise
        metrics.WAIT.labels(self.priority.name.lower()).observe(time.monotonic() - began)
        turn = _Turn(self)
        try:
            yield turn
        finally:
            self.open -= 1
            if not turn.told:
                self.answers += 1  # the source may have counted it all the same
                metrics.called(self.priority.name.lower(), None)
            self._ask()

    def learn(self, told: Said | None, blocked_for: float | None) -> None:
        self.answers += 1
        if blocked_for is not None:
            self.blocked_for = max(blocked_for, self.blocked_for or 0.0)
        if told is not None and (
            self.latest is None or (told.reset, -told.remaining) >= (self.latest.reset, -self.latest.remaining)
        ):
            self.latest = told

    def _ask(self) -> None:
        if self.asking is None:
            self.asking = asyncio.create_task(self._serve(), name="rate budget")

    async def _serve(self) -> None:
        """Until nobody waits and everything heard is told."""
        try:
            while self._news():
                try:
                    pause = await self._exchange()
                except Exception as error:  # whoever waits must hear of it
                    self._refuse(error)
                    return
                if pause is not None:
                    await asyncio.sleep(pause)
        finally:
            self.asking = None

    def _news(self) -> bool:
        wanted = self._wanted()
        return wanted > 0 or self.answers > 0 or self.blocked_for is not None or self.told != (wanted, self.open)

    def _wanted(self) -> int:
        return sum(not one.done() for one in self.waiting)  # the others gave up

    async def _exchange(self) -> float | None:
        """Tell what was heard, hand out what is granted; how long to wait for more, if it was not all."""
        answers, told, blocked_for = self.answers, self.latest, self.blocked_for
        self.answers, self.latest, self.blocked_for = 0, None, None
        wanted, held = self._wanted(), self.open
        row = await self.database.fetchrow(
            "api_turns",
            self.key,
            self.caller,
            self.integration_id,
            int(self.priority),
            wanted,
            held,
            answers,
            told and told.calls,
            told and told.remaining,
            told and told.reset,
            told and told.resets_in,
            blocked_for,
        )
        assert row is not None  # noqa: S101  a function returns one row
        granted: int = row["granted"]
        self.told = (wanted - granted, held + granted)
        while granted and self.waiting:
            one = self.waiting.popleft()
            if not one.done():
                self.open += 1
                granted -= 1
                one.set_result(None)
        return None if row["granted"] >= wanted else float(row["wait_seconds"])

    def _refuse(self, error: Exception) -> None:
        while self.waiting:
            one = self.waiting.popleft()
            if not one.done():
                one.set_exception(error)
        self.answers, self.blocked_for = 0, None
