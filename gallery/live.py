"""`/live`: server-sent events that say when to look again. They carry no data: pages ask for what they may see.

Promises: one look a second for a tenant, however many pages are open; a stream ends with its session, with the
program, and after ten minutes, when the browser opens another one; so many streams at a time and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gallery.authentication import attempt, cookie_of
from gallery.identity import Principal
from gallery.problems import Problem
from gallery.resources import Resources, principal
from schema.errors import DatabaseUnavailable
from schema.postgres import Database

LOOK_SECONDS: Final = 1.0
BEAT_SECONDS: Final = 15.0
LONGEST: Final = 600.0
MOST: Final = 200


@dataclass(slots=True)
class Pulse:
    """What one tenant's rows look like, and who waits for a change. That the database went away is one, too."""

    database: Database
    listeners: int = 0
    state: Any = None
    received_at: Any = None
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def beat(self) -> None:
        """Look once a second; wake whoever waits when something is new."""
        while True:
            try:
                row = await self.database.fetchrow("gallery_pulse")
                assert row is not None  # noqa: S101  it has one row
                seen = row["state"], row["received_at"]
            except DatabaseUnavailable:
                seen = "away", self.received_at
            if seen != (self.state, self.received_at):
                async with self.changed:
                    self.state, self.received_at = seen
                    self.changed.notify_all()
            await asyncio.sleep(LOOK_SECONDS)


class Live:
    """All streams of this process. `close` ends them."""

    def __init__(self) -> None:
        self._pulses: dict[object, tuple[Pulse, asyncio.Task[None]]] = {}
        self._streams = 0
        self._closed = False

    def close(self) -> None:
        """End every stream at its next turn, a second from now at the latest."""
        self._closed = True

    async def __call__(self, request: Request) -> Response:
        """The stream of whoever is signed in."""
        who = principal(request)
        if self._streams >= MOST:
            raise Problem("unavailable", "too many pages are open; this one does not update itself")
        return StreamingResponse(self._stream(request, who), media_type="text/event-stream")

    async def _stream(self, request: Request, who: Principal) -> AsyncIterator[str]:
        resources: Resources = request.app.state.resources
        loop = asyncio.get_running_loop()
        end, beat = loop.time() + LONGEST, loop.time() + BEAT_SECONDS
        pulse = self._join(resources, who)
        self._streams += 1
        state, received_at = pulse.state, pulse.received_at
        try:
            yield "retry: 2000\n\n"
            while not self._closed and loop.time() < end:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS), pulse.changed:
                        await pulse.changed.wait()
                if pulse.state != state:
                    yield "event: changed\ndata:\n\n"
                if pulse.received_at != received_at:
                    yield "event: event\ndata:\n\n"
                state, received_at = pulse.state, pulse.received_at
                if loop.time() >= beat:
                    if not await _still(request, resources):
                        yield "event: ended\ndata:\n\n"
                        return
                    beat = loop.time() + BEAT_SECONDS
                    yield ": still here\n\n"
        finally:
            self._streams -= 1
            self._leave(who)

    def _join(self, resources: Resources, who: Principal) -> Pulse:
        key = (who.org_id, who.project_id)
        if key not in self._pulses:
            pulse = Pulse(resources.database.of(*key))
            self._pulses[key] = pulse, asyncio.create_task(pulse.beat(), name="gallery pulse")
        pulse, _ = self._pulses[key]
        pulse.listeners += 1
        return pulse

    def _leave(self, who: Principal) -> None:
        pulse, task = self._pulses[who.org_id, who.project_id]
        pulse.listeners -= 1
        if pulse.listeners == 0:
            task.cancel()
            del self._pulses[who.org_id, who.project_id]


async def _still(request: Request, resources: Resources) -> bool:
    """Whether the session goes on."""
    cookie = cookie_of(Headers(scope=request.scope))
    try:
        if cookie:
            await attempt(resources, request.client.host if request.client else "unknown", cookie, session=True)
    except Problem:
        return False
    except DatabaseUnavailable:
        return True
    return True
