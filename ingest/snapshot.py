"""What ingest knows of the integrations, in memory: a request never waits for the database.

Promises: a change of an integration or a secret is known within moments (NOTIFY says whose it is, and that one is
read) and at the latest at the next turn of the timer (everything is compared, and what differs is read); a turn that
finds nothing changed costs as much with ten integrations as with 100,000; while PostgreSQL is away the last knowledge
stays good; before the first one nobody is refused.
"""

from __future__ import annotations

import asyncio
import operator
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from itertools import groupby
from typing import Final
from uuid import UUID

import structlog

from integrations.sealed_rows import open_secret
from integrations.sealing import Keyring, SealError
from schema.errors import DatabaseUnavailable, SchemaError
from schema.postgres import Database, Row

REFRESH_SECONDS: Final = 30.0
SHELVES: Final = 256
PAGE: Final = 1000
"""Integrations read at a time: enough that a start takes seconds, few enough that the rows take no room."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A hook's signing secret and the moment from which it no longer counts; no value: no key opens it."""

    webhook_id: str
    value: str | None = field(repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One integration. `mark`: what was read to know it, in one number; equal where nothing changed."""

    id: UUID
    provider: str
    enabled: bool
    secrets: Sequence[Secret] = ()
    mark: int = 0

    def valid(self, now: datetime) -> list[str]:
        """The secrets that count now."""
        return [
            secret.value
            for secret in self.secrets
            if secret.value is not None and (secret.expires_at is None or secret.expires_at > now)
        ]

    @property
    def unusable(self) -> bool:
        """Whether no key opens one of its secrets, so that nobody can tell a genuine request."""
        return any(secret.value is None for secret in self.secrets)


@dataclass(slots=True)
class Shelf:
    """The integrations whose ids end in one octet, and their marks, one XOR the other."""

    integrations: dict[UUID, Known] = field(default_factory=dict)
    mark: int = 0


class Snapshot:
    """All integrations, each as it was when it was last read."""

    def __init__(self) -> None:
        self._shelves = [Shelf() for _ in range(SHELVES)]
        self._by_webhook: dict[str, tuple[Known, ...]] = {}

    def get(self, id_: UUID) -> Known | None:
        """The integration of this id."""
        return self._shelf(id_).integrations.get(id_)

    def behind(self, provider: str, webhook_ids: Iterable[str]) -> list[Known]:
        """The integrations of a provider that these hooks belong to."""
        found = {known.id: known for hook in webhook_ids for known in self._by_webhook.get(hook, ())}
        return [found[id_] for id_ in sorted(found) if found[id_].provider == provider]

    def put(self, id_: UUID, known: Known | None) -> None:
        """This is known of it now; None: that there is no such integration."""
        shelf = self._shelf(id_)
        if (before := shelf.integrations.pop(id_, None)) is not None:
            shelf.mark ^= before.mark
            for hook in {secret.webhook_id for secret in before.secrets}:
                if others := tuple(other for other in self._by_webhook.pop(hook) if other is not before):
                    self._by_webhook[hook] = others
        if known is not None:
            shelf.integrations[known.id] = known
            shelf.mark ^= known.mark
            for hook in {secret.webhook_id for secret in known.secrets}:
                self._by_webhook[hook] = (*self._by_webhook.get(hook, ()), known)

    def other(self, rows: Iterable[Row]) -> list[int]:
        """The shelves that are not as these rows of `queries/webhook_marks.sql` have them."""
        marks = {row["shelf"]: row["mark"] for row in rows}
        return [number for number, shelf in enumerate(self._shelves) if shelf.mark != marks.get(number, 0)]

    def changed(self, numbers: Iterable[int], rows: Iterable[Row]) -> set[UUID]:
        """The integrations on these shelves that are not as the rows have them, one for each that there is."""
        marks = {row["id"]: row["mark"] for row in rows}
        known = {id_: one.mark for number in numbers for id_, one in self._shelves[number].integrations.items()}
        return {id_ for id_ in marks.keys() | known.keys() if marks.get(id_) != known.get(id_) and id_ is not None}

    def _shelf(self, id_: UUID) -> Shelf:
        return self._shelves[id_.bytes[-1]]


def read(rows: Iterable[Row], keyring: Keyring) -> list[Known]:
    """What the rows of `queries/webhook_secrets.sql` say. A secret that does not open counts for nothing, loudly."""
    return [_known(list(of_one), keyring) for _, of_one in groupby(rows, operator.itemgetter("id"))]


def _known(rows: Sequence[Row], keyring: Keyring) -> Known:
    first = rows[0]
    return Known(
        id=first["id"],
        provider=sys.intern(first["name"]),
        enabled=first["enabled"],
        secrets=tuple(_secret(row, keyring) for row in rows if row["secret_id"] is not None),
        mark=reduce(operator.xor, (row["mark"] for row in rows)),
    )


def _secret(row: Row, keyring: Keyring) -> Secret:
    try:
        value = open_secret(keyring, row["secret_id"], row["secret_sealed"])
    except SealError as error:
        log.warning("ingest.secret_unusable", integration_id=str(row["id"]), error=str(error))
        value = None
    return Secret(webhook_id=row["webhook_id"], value=value, expires_at=row["expires_at"])


class Secrets:
    """Keeps `current` fresh, which is None until everything is known. `loaded` is called just before it is there."""

    def __init__(self, database: Database, keyring: Keyring, *, loaded: Callable[[], None] = lambda: None) -> None:
        self.current: Snapshot | None = None
        self._database = database
        self._keyring = keyring
        self._tell_loaded = loaded
        self._snapshot = Snapshot()
        self._stale: set[UUID] = set()
        self._due = 0.0
        self._changed = asyncio.Event()
        self._loaded = asyncio.Event()
        self._refresher: asyncio.Task[None] | None = None

    async def start(self, *, within: float) -> None:
        """Load, in the background if it takes longer than `within`, and go on refreshing."""
        self._database.listen("kb_integrations", self._hear)
        self._refresher = asyncio.create_task(self._refresh(), name="ingest secrets")
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._loaded.wait()

    def _hear(self, payload: str) -> None:
        """An integration changed; or, if it is not said which, any may have."""
        try:
            self._stale.add(UUID(payload))
        except ValueError:
            self._due = 0.0
        self._changed.set()

    async def _refresh(self) -> None:
        loop, failure = asyncio.get_running_loop(), ""
        while True:
            self._changed.clear()
            try:
                await self._catch_up(loop.time())
                failure = ""
            except Exception as error:  # whatever it is: without this task no change would ever be known again
                # what was not read is found again by comparing
                self._due = min(self._due, loop.time() + (REFRESH_SECONDS if self.current else 1.0))
                named = isinstance(error, DatabaseUnavailable | SchemaError)
                why = str(error) if named else type(error).__name__
                if why != failure:  # said once, not every second
                    log.warning("ingest.secrets_stale", error=why)
                failure = why
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._due):
                    await self._changed.wait()

    async def _catch_up(self, now: float) -> None:
        """Compare if it is time, and read what is stale, with what is heard of meanwhile."""
        if now >= self._due:
            self._due = now + REFRESH_SECONDS
            if shelves := self._snapshot.other(await self._database.fetch("webhook_marks", [])):
                rows = await self._database.fetch("webhook_marks", shelves)
                self._stale |= self._snapshot.changed(shelves, rows)
        while self._stale:
            await self._read([self._stale.pop() for _ in range(min(PAGE, len(self._stale)))])
        if self.current is None:
            self._tell_loaded()
            self.current = self._snapshot
            self._loaded.set()

    async def _read(self, ids: Collection[UUID]) -> None:
        """Read these anew; in a thread, since opening what an earlier system sealed takes long."""
        rows = await self._database.fetch("webhook_secrets", ids)
        found = {known.id: known for known in await asyncio.to_thread(read, rows, self._keyring)}
        for id_ in ids:
            self._snapshot.put(id_, found.get(id_))

    async def close(self) -> None:
        """Stop refreshing."""
        if self._refresher is not None:
            self._refresher.cancel()
            await asyncio.gather(self._refresher, return_exceptions=True)
