"""Turns for whoever asks, at once: for tests that are not about the rate budget. They note what was answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from integrations.budget import Turn


@dataclass(slots=True, eq=False)
class Unmetered:
    """Gives every turn at once.

    Attributes:
        given: turns so far.
        open: turns that are held right now.
        statuses: what was answered, in order.
        headers: of the same answers.
    """

    given: int = 0
    open: int = 0
    statuses: list[int] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        self.given += 1
        self.open += 1
        try:
            yield _Noted(self)
        finally:
            self.open -= 1


@dataclass(frozen=True, slots=True)
class _Noted:
    turns: Unmetered

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        self.turns.statuses.append(status)
        self.turns.headers.append(headers)
