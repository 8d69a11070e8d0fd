"""Looking after webhooks: have the provider put an integration's hook in order, and write down what came of it.

Promises: one process at a time looks after a hook (a lease in PostgreSQL), from the command line too; a new secret
is stored before anything is sent with it, and the one it replaces stays valid for a while; every blind window asks
for a catch-up; everything done at the source leaves a line in the audit log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import structlog

from events.applied import job_event
from integrations.access import Opener
from integrations.budget import Priority
from integrations.errands import SYNC
from integrations.hooks import Deed, Hook, Tended, Tending
from integrations.registry import Impossible, NotNow, providers
from integrations.sealed_rows import open_secret, secret_row
from integrations.sealing import Keyring, SealError
from schema import jobs
from schema.jobs import NewJob
from schema.postgres import Database, Row, Transaction

TEND_SECONDS: Final = 60.0
"""For one hook, waiting for turns included; as long is the lease."""
BUSY_SECONDS: Final = 15.0
"""How long a command waits for somebody else who looks after the same hook: it rarely takes longer than a second."""
OVERLAP: Final = timedelta(hours=1)
"""How long a replaced secret stays valid: longer than ClickUp tries a delivery again."""
BLIND_BEFORE: Final = timedelta(minutes=5)
"""How much earlier than its last healthy look a hook may have gone blind; and how long no look matters little."""

EXCHANGE_AFTER: Final = timedelta(minutes=15)
"""How old a secret is before it may be what keeps deliveries from being believed."""

log = structlog.get_logger()


class Busy(Exception):
    """Somebody else is looking after this hook right now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants of a hook, beyond that it works.

    Attributes:
        act: False = only look.
        wanted: False = there should be none; None = as it was wanted before.
        rotate: exchange it for one with a new secret.
        endpoint: where it should deliver to instead of PUBLIC_URL.
        events: what it should hear; None = as before.
    """

    act: bool = True
    wanted: bool | None = None
    rotate: bool = False
    endpoint: str | None = None
    events: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Looks after hooks, in the name of somebody."""

    database: Database
    opener: Opener
    keyring: Keyring
    public_url: str | None
    actor: str
    every: timedelta = timedelta(seconds=60)

    def named(self, actor: str) -> Keeper:
        """The same, in the name of somebody else."""
        return replace(self, actor=actor)

    async def due(self) -> Row | None:
        """Take the hook that was not looked at for the longest, if it is time; None when there is none."""
        return await self._take(None)

    async def take(self, integration_id: UUID) -> Row:
        """Take this integration's hook; one that is being looked after is waited for a little. Raises `Busy`."""
        try:
            async with asyncio.timeout(BUSY_SECONDS):
                while (row := await self._take(integration_id)) is None:  # noqa: ASYNC110  another process has it
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise Busy("its hook is being looked after right now; try again in a minute") from None
        return row

    async def _take(self, integration_id: UUID | None) -> Row | None:
        patience = max(BLIND_BEFORE, 5 * self.every)
        return await self.database.fetchrow("hook_take", uuid4(), TEND_SECONDS, integration_id, patience)

    async def look(self, integration_id: UUID) -> Tended:
        """Only look at this integration's hook, and write nothing."""
        row = await self.database.fetchrow("hook_look", integration_id)
        assert row is not None  # noqa: S101  the caller knows that it is there
        try:
            async with asyncio.timeout(TEND_SECONDS):
                return await self._ask(row, _last(row), Wish(act=False))
        except (Impossible, NotNow, SealError, TimeoutError) as error:
            return Tended(hook=_last(row), problem=f"it could not be looked at: {str(error) or 'it took too long'}")

    async def tend(self, taken: Row, wish: Wish) -> Tended:
        """Look after a hook that was taken, and write down what came of it. Never raises for the source's sake."""
        last = _last(taken)
        try:
            async with asyncio.timeout(TEND_SECONDS * 0.9):
                tended = await self._ask(taken, last, wish)
        except (Impossible, SealError) as error:
            tended = Tended(hook=None, problem=str(error))
        except (NotNow, TimeoutError) as error:
            said = str(error) or "ClickUp took too long"
            tended = Tended(hook=last, problem=f"it could not be looked at: {said}")
        async with self.database.transaction() as transaction:
            await self._write(transaction, taken, tended, wish)
        return tended

    async def _ask(self, taken: Row, last: Hook | None, wish: Wish) -> Tended:
        provider = providers()[taken["name"]]
        access = self.opener.open(taken, Priority.SYNC)
        known: dict[str, set[str]] = {}
        foreign: set[str] = set()
        for row in await self.database.fetch("hook_secrets", taken["id"]):
            if row["foreign"]:
                foreign.add(row["webhook_id"])
                continue
            secrets = known.setdefault(row["webhook_id"], set())
            with suppress(SealError):  # a secret that no key opens is as good as none: the hook gets another one
                secrets.add(open_secret(self.keyring, row["id"], row["secret_sealed"]))
        silent = await self.database.fetchrow("hook_silent", taken["id"], EXCHANGE_AFTER)
        endpoint = wish.endpoint or taken["address"] or self._public(taken)
        tending = Tending(
            endpoint=endpoint,
            aliases=frozenset({endpoint.removesuffix(f"/{taken['id']}")} if endpoint else ()),
            events=wish.events or (tuple(taken["events"]) if taken["chosen"] else None),
            known={id_: frozenset(secrets) for id_, secrets in known.items()},
            foreign=frozenset(foreign),
            last=last,
            silent=bool(silent and silent["silent"]),
            wanted=taken["wanted"] if wish.wanted is None else wish.wanted,
            rotate=wish.rotate,
            act=wish.act,
            keep=lambda webhook_id, secret: self._keep(taken["id"], webhook_id, secret, known),
        )
        return await provider.tend(tending, access)

    def _public(self, taken: Row) -> str | None:
        if self.public_url is None:
            return None
        return f"{self.public_url.rstrip('/')}/webhooks/{taken['name']}/{taken['id']}"

    async def _keep(self, integration_id: UUID, webhook_id: str, secret: str, known: dict[str, set[str]]) -> None:
        """Store a secret that is new; another one of the same hook is valid for a while yet."""
        if secret in known.get(webhook_id, ()):
            return
        id_ = uuid4()
        sealed = self.keyring.seal(secret.encode(), row=secret_row(id_))
        async with self.database.transaction() as transaction:
            await transaction.execute("hook_secrets_expire", integration_id, [webhook_id], OVERLAP)
            await transaction.execute("webhook_secret_add", id_, integration_id, webhook_id, sealed)
        known.setdefault(webhook_id, set()).add(secret)

    async def _write(self, transaction: Transaction, taken: Row, tended: Tended, wish: Wish) -> None:
        id_, hook = taken["id"], tended.hook
        # what is done is done, whoever may have the lease now
        for deed in tended.deeds:
            await self.audit(transaction, id_, deed, "done")
            log.warning("webhook.mended", did=deed.action, integration_id=str(id_), **deed.details)
        wanted = taken["wanted"] if wish.wanted is None else wish.wanted
        blind = "; ".join(filter(None, (tended.blind, "it was not looked after" if taken["in_doubt"] else None)))
        if blind and wanted and tended.problem is None:
            await self._catch_up(transaction, taken, blind)
        state = await transaction.fetchrow(
            "hook_store",
            id_,
            taken["lease"],
            hook and hook.id,
            hook.endpoint if hook else taken["endpoint"],
            list(hook.events) if hook else taken["hears"],
            hook.owner if hook else taken["owner"],
            _status(taken, tended),
            hook.fail_count if hook else 0,
            tended.problem,
            wish.wanted,
            list(wish.events) if wish.events else None,
            self.every * 0.8,
            "" if wish.endpoint == self._public(taken) else wish.endpoint,
        )
        if state is None:
            return  # it took longer than the lease: whoever has it now writes down what there is
        if tended.problem and tended.problem != taken["problem"]:
            await self.audit(transaction, id_, Deed("webhook_problem", {"problem": tended.problem}), "failed")
            await transaction.execute("sync_failed", [id_], [f"webhook: {tended.problem}"])
        if tended.problem is None:
            stale = await transaction.fetch("hook_secrets_stale", id_, hook and hook.id)
            if stale:  # asked first, for every change of secrets has ingest read them all
                await transaction.execute("hook_secrets_expire", id_, [row["webhook_id"] for row in stale], OVERLAP)

    async def _catch_up(self, transaction: Transaction, taken: Row, why: str) -> None:
        """A sync from the cursor covers every blind window; without a cursor it begins where the window may have."""
        options: dict[str, Any] = {}
        if not taken["has_cursor"]:
            if taken["healthy_at"] is None:
                return  # it was never followed: an import is what it needs, and somebody's decision
            options["since"] = round((taken["healthy_at"] - BLIND_BEFORE).timestamp() * 1000)
        job = NewJob(
            integration_id=taken["id"],
            kind=SYNC,
            options=options,
            reason=f"blind window: {why}",
            requested_by=self.actor,
        )
        if await jobs.request(transaction, job, job_event, unless_waiting=True) is not None:
            await self.audit(transaction, taken["id"], Deed("catch_up", {"job_id": str(job.id), "why": why}), "asked")

    async def audit(self, transaction: Transaction, integration_id: UUID, deed: Deed, outcome: str) -> None:
        """A line of the audit log. The secrets of no deed are in its details."""
        action = deed.action if deed.action.startswith("webhook") else f"webhook_{deed.action}"
        await transaction.execute(
            "audit_add", self.actor, action, integration_id, outcome, dict(deed.details), None, None, None
        )


def _status(taken: Row, tended: Tended) -> str:
    """The status to remember. After a look that could not tell, the next one that can is in doubt."""
    if tended.problem and (tended.hook is None or taken["in_doubt"]):
        return "unknown"
    return tended.hook.status if tended.hook else "missing"


def _last(taken: Row) -> Hook | None:
    if taken["webhook_id"] is None:
        return None
    return Hook(
        id=taken["webhook_id"],
        endpoint=taken["endpoint"] or "",
        events=tuple(taken["hears"]),
        status=taken["status"],
        fail_count=taken["fail_count"],
        owner=taken["owner"],
    )


def unsecret(hook: Hook) -> Hook:
    """The hook as it may be shown."""
    return replace(hook, secret=None)


def names(deeds: Sequence[Deed]) -> list[str]:
    """What was done, in words."""
    return [deed.action for deed in deeds]
