"""Connections and what a client may do with them: uvicorn's protocol within bounds that it does not have by itself.

Promises: a client that owes something (a head, the rest of a body, the reading of its answer) has a fixed time for
it, however busily it drips; a head has a most of octets and fields, and so has what is sent outside of bodies; when
there are too many connections, the one whose client has owed something longest makes room, so that idle ones never
keep a genuine one out. Whatever is closed for that is counted.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import resource
from enum import Enum, auto
from typing import Any, ClassVar, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from cli import metrics
from cli.corking import Corked
from ingest.bodies import WHOLE

HEAD_SECONDS: Final = 10.0
"""For a request's head: from the connection's beginning, on one that was used before from the head's first octet."""
MESSAGE_SECONDS: Final = 15.0
"""For all that follows the head. An application that gives up sooner has answered by then, but its client may go on."""
READ_SECONDS: Final = 30.0
"""For a client to read on, when it does not and its answer waits."""
HEAD_OCTETS: Final = 32 * 1024
HEAD_FIELDS: Final = 100
WASTE_OCTETS: Final = 32 * 1024 * 1024
"""Of a body whose request is answered already, thrown away as it comes: closing at once would take the answer away from
who still sends, and many clients read none before they have sent everything."""
LINGER_SECONDS: Final = 2.0
"""For the rest of a body whose request is answered, when the connection is to end with the answer."""
MOST: Final = 4096
SPARE_FILES: Final = 128
"""Of the process's limit of open files, for everything that is no client's connection."""
RETRY_AFTER: Final = b"retry-after: 5\r\n"


class Phase(Enum):
    """What the client owes: a head, the rest of a message, nothing."""

    HEAD = auto()
    BODY = auto()
    WHOLE = auto()


@functools.cache
def most() -> int:
    """How many connections this process may have. Takes what the system allows it in open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(soft - SPARE_FILES, SPARE_FILES)
    return MOST


class Bounded(HttpToolsProtocol):
    """One connection. The parser calls the methods that begin with `on_`."""

    connections_open: ClassVar[set[Bounded]] = set()
    owing: ClassVar[dict[Bounded, None]] = {}
    """Whose client owes something, or is idle; in the order since when."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # a warning for each malformed request would be a stranger's way to fill a disk; they are counted
        self.logger = logging.getLogger("uvicorn.error.connections")
        self.logger.setLevel(logging.ERROR)
        self._application = self.app
        self._phase = Phase.HEAD
        self._began = self._moved = self._unarmed = self._lingering = self._over = False
        self._stalled = self._wasted = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        """Take it, if need be in another one's place."""
        super().connection_made(cast("asyncio.Transport", Corked(transport, self.loop, lingers=self._lingers)))
        if len(self.connections_open) >= most():
            if not self.owing:
                self._refuse("full", 503)
                return
            next(iter(self.owing))._refuse("displaced")  # noqa: SLF001  its own kind
        self.connections_open.add(self)
        self._expect(Phase.HEAD)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._forget()

    def data_received(self, data: bytes) -> None:
        """Parse, and see whether that led on."""
        if self._lingering:
            self._waste(len(data))
        if self.transport.is_closing():
            return
        if self._idle():  # an empty line begins no message, but ends the wait for one all the same
            self._expect(Phase.HEAD)
        self._began, self._moved = True, False
        super().data_received(data)
        self._stalled = 0 if self._moved else self._stalled + len(data)
        if self._stalled > HEAD_OCTETS:
            self._refuse("large_head", 431)
        if self._unarmed:
            self._arm()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP."""
        metrics.REFUSED.labels("malformed").inc()
        super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """A head's first octet."""
        super().on_message_begin()
        self._wasted = 0
        if self._phase is not Phase.HEAD:
            self._expect(Phase.HEAD)
        self._moved = True

    def on_headers_complete(self) -> None:
        """A whole head: to the application, if it is within bounds."""
        self._moved = True
        self._expect(Phase.BODY)
        octets = len(self.url) + sum([len(name) + len(value) for name, value in self.headers])
        self.app = self._application
        if octets > HEAD_OCTETS or len(self.headers) > HEAD_FIELDS:
            metrics.REFUSED.labels("large_head").inc()
            self.app = too_large_head
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of a body; past the answer it is thrown away, for a while."""
        self._moved = True
        super().on_body(body)
        if self.cycle.response_complete:
            self._waste(len(body))

    def on_message_complete(self) -> None:
        """Nothing is owed."""
        self._moved = True
        super().on_message_complete()
        self._phase = Phase.WHOLE
        self.cycle.scope.setdefault("extensions", {})[WHOLE] = {}
        self._clear()
        self.owing.pop(self, None)
        self._rest()

    def on_response_complete(self) -> None:
        """An answer is out: now it may be idle."""
        super().on_response_complete()
        self._rest()

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever its type says
        return cycle is not None and not cycle.response_complete

    def _idle(self) -> bool:
        return self._phase is Phase.WHOLE and not self._answering() and not self.pipeline

    def _rest(self) -> None:
        if self._idle() and not self.transport.is_closing():
            self.owing[self] = None

    def _expect(self, phase: Phase) -> None:
        """From now on the client owes this. Its time for it is measured once what has come is parsed: most requests
        come whole, and need none.
        """
        self._phase = phase
        self._clear()
        self.owing.setdefault(self, None)
        self._unarmed = True

    def _arm(self) -> None:
        seconds = HEAD_SECONDS if self._phase is Phase.HEAD else MESSAGE_SECONDS
        self._deadline, self._unarmed = self.loop.call_later(seconds, self._late), False

    def _late(self) -> None:
        if self._phase is Phase.BODY:
            self._refuse("slow_body")
        elif self._began:
            self._refuse("slow_head", 408)
        else:
            self._refuse("silent")

    def pause_writing(self) -> None:
        """The client does not read its answer."""
        super().pause_writing()
        if self._reader is None:
            self._reader = self.loop.call_later(READ_SECONDS, self._unread)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _unread(self) -> None:
        self._refuse("slow_reader")
        self.transport.abort()  # closing waits for what nobody reads

    def _waste(self, octets: int) -> None:
        self._wasted += octets
        if self._wasted > WASTE_OCTETS:
            self._refuse("unread")

    def _lingers(self) -> bool:
        """Whether the client is still sending a body when its connection is to end: then our side alone ends now. What
        it sends to a closed socket would be answered with a reset, which takes the answer away from it.
        """
        if self._lingering or self._over or self._phase is not Phase.BODY or self.transport.is_closing():
            return False
        if not self.transport.can_write_eof():  # TLS
            return False
        self._lingering = True
        self.flow.resume_reading()
        self._clear()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self._refuse, "unread")
        return True

    def _refuse(self, reason: str, status: int | None = None) -> None:
        """Close it, with an answer if there is one and no other is on its way."""
        if self._over or (self.transport.is_closing() and not self._lingering):
            return
        self._over = True
        metrics.REFUSED.labels(reason).inc()
        self._forget()
        if status is not None and not self._answering() and not self.transport.is_closing():
            later = RETRY_AFTER if status == 503 else b""
            self.transport.write(STATUS_LINE[status] + later + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

    def _forget(self) -> None:
        self._clear()
        self.connections_open.discard(self)
        self.owing.pop(self, None)
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _clear(self) -> None:
        self._unarmed = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def too_large_head(_scope: Any, _receive: Any, send: Any) -> None:
    """The application for a head that is over the bounds."""
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
