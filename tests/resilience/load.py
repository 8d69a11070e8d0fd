"""A steady signed load, offered as ClickUp does: open loop, a time limit, and again what was not taken.

A delivery that is not answered 2xx within `ANSWER_SECONDS` is sent again after a pause, byte for byte the same, until
it is taken. It goes to the ingests in turn, past those that refuse the connection, as a load balancer's would.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import orjson

from bench.shown import Stated
from integrations.clickup.simulator.workspace import Workspace
from integrations.clickup.webhook import sign

ANSWER_SECONDS: Final = 7.0
"""ClickUp's own limit (observed)."""
PAUSES: Final = (0.5, 1.0, 2.0)
TICK_SECONDS: Final = 0.01
UNSTATED: Final = 61
"""Every so many edits one is not stated by its delivery, and is of a task that is seldom edited."""
NO_ANSWER: Final = 0
"""In place of a status: nobody took the connection, or it broke, or the time was up."""


class Connection:
    """One HTTP/1.1 connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.usable = True

    async def post(self, path: str, body: bytes, signature: str) -> tuple[int, bytes]:
        """Status and body. Raises `OSError` or `asyncio.IncompleteReadError` when the connection breaks."""
        self.usable = False
        self._writer.write(
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"x-signature: {signature}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = await self._reader.readexactly(length)
        self.usable = b"connection: close" not in head
        return int(head[9:12]), answer

    @property
    def gone(self) -> bool:
        """Whether the other side has closed it."""
        return self._reader.at_eof()

    def close(self) -> None:
        """Let it go, whatever is under way."""
        self._writer.transport.abort()


@dataclass(slots=True)
class Offered:
    """What was offered and what was answered since the last `fresh`.

    Attributes:
        accepted: the ids of the events.
        answers: by status; `NO_ANSWER` for none.
        longest: seconds of the longest answer.
        deliveries: so many, each counted once however often it was sent.
        stated: every change, and when it was told first.
    """

    accepted: set[UUID] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    deliveries: int = 0
    stated: list[Stated] = field(default_factory=list)


class Load:
    """Edits of a workspace's tasks, told as they happen to the ingests at `ports`.

    Attributes:
        edited: the tasks that any delivery was about.
    """

    def __init__(
        self,
        workspace: Workspace,
        tasks: Sequence[str],
        quiet: Sequence[str],
        *,
        path: str,
        webhook_id: str,
        secret: str,
        rate: float,
    ) -> None:
        self.ports: list[int] = []
        self.edited: set[str] = set()
        self.offered = Offered()
        self.rate = rate
        self._workspace, self._tasks, self._quiet = workspace, tasks, quiet
        self._path, self._webhook_id, self._secret = path, webhook_id, secret
        self._numbers = itertools.count(1)
        self._turns = itertools.count()
        self._idle: dict[int, deque[Connection]] = {}
        self._open: set[asyncio.Task[None]] = set()

    def fresh(self) -> Offered:
        """Begin to count anew; what was counted."""
        counted, self.offered = self.offered, Offered()
        return counted

    async def run(self, seconds: float) -> None:
        """Offer the load for so long. What is not taken by then stays open: see `drained`."""
        loop, bodies, sent = asyncio.get_running_loop(), self.bodies(), 0
        started = loop.time()
        while (passed := loop.time() - started) < seconds:
            while sent < passed * self.rate:
                task = asyncio.create_task(self._deliver(next(bodies)))
                self._open.add(task)
                task.add_done_callback(self._open.discard)
                sent += 1
            await asyncio.sleep(TICK_SECONDS)

    async def drained(self, within: float) -> int:
        """Wait until everything offered was taken; how much was not in time."""
        if self._open:
            await asyncio.wait(self._open, timeout=within)
        return len(self._open)

    async def close(self) -> None:
        """End everything under way."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        for connections in self._idle.values():
            for connection in connections:
                connection.close()

    def bodies(self) -> Iterator[bytes]:
        """Edits of one task after the other: a name or an estimate, which is told twice: a companion says it again.
        And now and then the description of a quiet task, which no delivery states, so that it must be read; nothing
        else would soon bring what was not read.
        """
        for number in self._numbers:
            task_id, by_name = self._tasks[number * 7 % len(self._tasks)], number // len(self._tasks) % 2
            if number % UNSTATED == 0:
                task_id = self._quiet[number // UNSTATED % len(self._quiet)]
                edited = self._workspace.describe_task(task_id, f"edit {number}")
            else:
                self.offered.stated.append((task_id, "name" if by_name else "time_estimate", number, datetime.now(UTC)))
                edited = (
                    self._workspace.rename_task(task_id, str(number))
                    if by_name
                    else self._workspace.set_time_estimate(task_id, number)
                )
            self.edited.add(task_id)
            for body in edited:
                yield orjson.dumps({**body, "webhook_id": self._webhook_id})

    async def _deliver(self, body: bytes) -> None:
        signature, offered = sign(self._secret, body), self.offered
        offered.deliveries += 1
        for tries in itertools.count():
            started = time.monotonic()
            status, answer = await self._attempt(body, signature)
            if status != NO_ANSWER:
                offered.longest = max(offered.longest, time.monotonic() - started)
            offered.answers[status] += 1
            if status == 200:
                offered.accepted.add(UUID(orjson.loads(answer)["event_id"]))
                return
            await asyncio.sleep(PAUSES[min(tries, len(PAUSES) - 1)])

    async def _attempt(self, body: bytes, signature: str) -> tuple[int, bytes]:
        connection: Connection | None = None
        port = 0
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                port, connection = await self._connection()
                return await connection.post(self._path, body, signature)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return NO_ANSWER, b""
        finally:
            if connection is not None and connection.usable:
                self._idle[port].append(connection)
            elif connection is not None:
                connection.close()

    async def _connection(self) -> tuple[int, Connection]:
        """To the ingest whose turn it is, or the next that takes connections. Raises `OSError` when none does."""
        turn, ports = next(self._turns), list(self.ports)
        for step in range(len(ports)):
            port = ports[(turn + step) % len(ports)]
            idle = self._idle.setdefault(port, deque())
            while idle:
                if not (connection := idle.pop()).gone:
                    return port, connection
                connection.close()
            with suppress(ConnectionError):
                return port, Connection(*await asyncio.open_connection("127.0.0.1", port))
        raise ConnectionRefusedError
