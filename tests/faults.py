"""Faults at a chosen moment: after so many awaits, counted over everything that runs, something happens."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def after_awaits(count: int, happens: Callable[[], object]) -> Iterator[None]:
    """Call `happens` once, when tasks that were made inside have been suspended so many times in all."""
    loop, left = asyncio.get_running_loop(), count

    def tick() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            loop.call_soon(happens)

    def factory(
        loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **rest: Any
    ) -> asyncio.Task[Any]:
        return asyncio.Task(_counted(coro, tick), loop=loop, **rest)

    loop.set_task_factory(factory)
    try:
        yield
    finally:
        loop.set_task_factory(None)


async def _counted(coro: Any, tick: Callable[[], None]) -> Any:
    return await _stepped(coro, tick)


@types.coroutine
def _stepped(coro: Any, tick: Callable[[], None]) -> Generator[Any, Any, Any]:
    value, error = None, None
    while True:
        try:
            awaited = coro.send(value) if error is None else coro.throw(error)
        except StopIteration as end:
            return end.value
        tick()
        value, error = None, None
        try:
            value = yield awaited
        except GeneratorExit:
            coro.close()
            raise
        except BaseException as raised:
            error = raised
