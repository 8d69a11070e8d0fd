"""Group commit: what comes while a write is under way is written by the next one, together.

Promises: one write at a time, so its cost is shared by everybody who waits, and a slow store is asked once and not
once a caller; a caller's item is stored when `put` returns; nobody waits longer than told; an item that the store
takes with no neighbour fails alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from events.errors import BusUnavailable

MOST: Final = 500

Item = TypeVar("Item")
Write = Callable[[Sequence[Item]], Awaitable[None]]
"""Stores all of these or none. Raises `BusUnavailable` when the store is away, anything else for the items' sake."""


class Gathering(Generic[Item]):
    """Collects what callers `put` for one `write`."""

    def __init__(self, write: Write[Item]) -> None:
        self._write = write
        self._waiting: deque[tuple[Item, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def put(self, items: Sequence[Item], *, within: float) -> None:
        """Store these.

        Raises:
            BusUnavailable: the store is away, or `within` seconds were not enough; they may be stored all the same.
        """
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in items]
        self._waiting.extend(zip(items, futures, strict=True))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._work(), name="group commit")
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*futures)
        except TimeoutError as error:
            raise BusUnavailable(f"nothing was stored within {within:.1f} s") from error

    async def _work(self) -> None:
        while self._waiting:
            taken: list[tuple[Item, asyncio.Future[None]]] = []
            while self._waiting and len(taken) < MOST:
                item, future = self._waiting.popleft()
                if not future.done():  # its caller still waits
                    taken.append((item, future))
            await self._store(taken)

    async def _store(self, taken: Sequence[tuple[Item, asyncio.Future[None]]]) -> None:
        if not taken:
            return
        try:
            await self._write([item for item, _ in taken])
        except asyncio.CancelledError:
            _end(taken, "closing")
            raise
        except BusUnavailable as error:
            _end(taken, str(error))
        except Exception as error:
            if len(taken) > 1:
                for one in taken:
                    await self._store([one])
            else:
                _end(taken, error)
        else:
            _end(taken, None)

    async def close(self) -> None:
        """End what is under way; whoever still waits is told that nothing was stored."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        _end(list(self._waiting), "closing")
        self._waiting.clear()


def _end(taken: Sequence[tuple[object, asyncio.Future[None]]], failure: Exception | str | None) -> None:
    for _, future in taken:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:  # an error of its own for each: a shared one would gather every caller's traceback
            future.set_exception(BusUnavailable(failure) if isinstance(failure, str) else failure)
