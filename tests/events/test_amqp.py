"""Deadlines that hold even where the library does not heed them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from events.amqp import insisted


async def test_a_call_that_does_not_heed_its_cancellation_is_left_behind() -> None:
    """As the library's, when a broker stops while a connection to it is being opened."""
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    with pytest.raises(TimeoutError):
        await insisted(stubborn(), 0.05)
    released.set()


async def test_a_call_in_time_has_its_result_and_its_error() -> None:
    async def call() -> int:
        return 7

    async def failing() -> None:
        raise ConnectionError

    assert await insisted(call(), 5) == 7
    with pytest.raises(ConnectionError):
        await insisted(failing(), 5)


async def test_who_is_cancelled_cancels_the_call() -> None:
    call = asyncio.ensure_future(asyncio.sleep(60))
    waiting = asyncio.create_task(insisted(call, 60))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.gather(call, return_exceptions=True)
    assert call.cancelled()
