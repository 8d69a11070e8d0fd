"""What ingest knows of the integrations, in memory: a request never waits for the database.

Promises: a change of an integration or a secret is known within moments (NOTIFY) and at the latest at the next
turn of the timer; while PostgreSQL is away the last knowledge stays good; before the first one nobody is refused.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from integrations.sealed_rows import open_secret
from integrations.sealing import Keyring, SealError
from schema.errors import DatabaseUnavailable, SchemaError
from schema.postgres import Database, Row

REFRESH_SECONDS: Final = 30.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Secret:
    """A signing secret and the moment from which it no longer counts."""

    value: str = field(repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One integration. `unusable`: how many of its secrets no key opens, so that nobody can tell a genuine request."""

    id: UUID
    provider: str
    enabled: bool
    secrets: Sequence[Secret] = ()
    unusable: int = 0

    def valid(self, now: datetime) -> list[str]:
        """The secrets that count now."""
        return [secret.value for secret in self.secrets if secret.expires_at is None or secret.expires_at > now]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All integrations at one moment."""

    integrations: Mapping[UUID, Known] = field(default_factory=dict)
    by_webhook: Mapping[str, Sequence[UUID]] = field(default_factory=dict)

    def behind(self, provider: str, webhook_ids: Iterable[str]) -> list[Known]:
        """The integrations of a provider that these hooks belong to."""
        ids = dict.fromkeys(id_ for hook in webhook_ids for id_ in self.by_webhook.get(hook, ()))
        return [self.integrations[id_] for id_ in ids if self.integrations[id_].provider == provider]


def build(rows: Iterable[Row], keyring: Keyring) -> Snapshot:
    """A snapshot of the rows of `queries/webhook_secrets.sql`. A secret that does not open is left out, loudly."""
    enabled: dict[UUID, tuple[str, bool]] = {}
    secrets: dict[UUID, list[Secret]] = {}
    unusable: Counter[UUID] = Counter()
    by_webhook: dict[str, list[UUID]] = {}
    for row in rows:
        enabled[row["id"]] = (row["name"], row["enabled"])
        if row["secret_id"] is None:
            continue
        by_webhook.setdefault(row["webhook_id"], []).append(row["id"])
        try:
            value = open_secret(keyring, row["secret_id"], row["secret_sealed"])
        except SealError as error:
            unusable[row["id"]] += 1
            log.warning("ingest.secret_unusable", integration_id=str(row["id"]), error=str(error))
        else:
            secrets.setdefault(row["id"], []).append(Secret(value, row["expires_at"]))
    integrations = {
        id_: Known(id=id_, provider=name, enabled=on, secrets=secrets.get(id_, ()), unusable=unusable[id_])
        for id_, (name, on) in enabled.items()
    }
    return Snapshot(integrations=integrations, by_webhook=by_webhook)


class Secrets:
    """Keeps `current` fresh."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self.current: Snapshot | None = None
        self._database = database
        self._keyring = keyring
        self._changed = asyncio.Event()
        self._loaded = asyncio.Event()
        self._refresher: asyncio.Task[None] | None = None

    async def start(self, *, within: float) -> None:
        """Load, in the background if it takes longer than `within`, and go on refreshing."""
        self._database.listen("kb_integrations", lambda _payload: self._changed.set())
        self._refresher = asyncio.create_task(self._refresh(), name="ingest secrets")
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._loaded.wait()

    async def _refresh(self) -> None:
        stale = ""
        while True:
            self._changed.clear()
            try:
                rows = await self._database.fetch("webhook_secrets")
                self.current = await asyncio.to_thread(build, rows, self._keyring)
                self._loaded.set()
                stale = ""
            except (DatabaseUnavailable, SchemaError) as error:
                if str(error) != stale:  # said once, not every second
                    log.warning("ingest.secrets_stale", error=str(error))
                stale = str(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_SECONDS if self.current else 1.0):
                    await self._changed.wait()

    async def close(self) -> None:
        """Stop refreshing."""
        if self._refresher is not None:
            self._refresher.cancel()
            await asyncio.gather(self._refresher, return_exceptions=True)
