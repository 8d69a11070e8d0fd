"""`kb-ingest doctor`: is everything as it should be, and if not, what mends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from cli import logs, output, programs
from cli.settings import ConfigurationError, Settings, load
from cli.setup import admin
from events.rabbitmq import RabbitMQ
from integrations import rotation
from integrations.access import Opener
from integrations.budget import Priority
from integrations.clickup.client import ClickUp, transport
from integrations.clickup.errors import ClickUpError, Gone, Rejected, TokenRefused
from integrations.sealing import Keyring, SealError, key_id
from schema import integrations
from schema.errors import DatabaseUnavailable, SchemaError
from schema.migrate import pending
from schema.postgres import Row

BROKER_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding."""

    subject: str
    good: bool
    finding: str
    mend: str = ""


def doctor(*, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check configuration, database, broker, and each integration's token and webhooks."""
    logs.configure(level="error", form="console")
    checks = asyncio.run(_all(load()))
    if json:
        output.json([asdict(check) for check in checks])
    else:
        rows = [asdict(check) | {"state": _state(check)} for check in checks]
        columns = {"state": "", "subject": "What", "finding": "Finding", "mend": "Mend"}
        output.table(columns, rows, empty="nothing to check")
    if not all(check.good for check in checks):
        raise output.Failed("something needs mending, see above")


def _state(check: Check) -> str:
    if not check.good:
        return "BAD"
    return "note" if check.mend else "ok"


async def _all(settings: Settings) -> list[Check]:
    return [check async for check in _checks(settings)]


async def _checks(settings: Settings) -> AsyncIterator[Check]:
    keyring: Keyring | None = None
    try:
        keyring = settings.keyring()
        yield Check(subject="INTEGRATION_ENCRYPTION_KEY", good=True, finding=f"{len(keyring.keys)} key(s)")
    except ConfigurationError as error:
        yield Check(subject="INTEGRATION_ENCRYPTION_KEY", good=False, finding=str(error), mend="set it")
    yield await _broker(settings)
    rows: list[Row] = []
    try:
        missing = await pending(settings.need("database_url"))
        mend = "kb-ingest migrate" if missing else ""
        finding = f"{len(missing)} migration(s) to apply" if missing else "reachable, up to date"
        yield Check(subject="DATABASE_URL", good=not missing, finding=finding, mend=mend)
        if not missing:
            rows = await _integrations(settings)
    except ConfigurationError as error:
        yield Check(subject="DATABASE_URL", good=False, finding=str(error), mend="set it")
    except (DatabaseUnavailable, SchemaError) as error:
        yield Check(subject="DATABASE_URL", good=False, finding=str(error), mend="check the address and the server")
    if keyring is not None and rows:
        async with admin(settings) as database, transport() as http:
            for check in sealing_checks(keyring, await rotation.tally(database)):
                yield check
            opener = programs.opener(settings, database, http)
            for row in rows:
                async for check in _integration(row, opener):
                    yield check


def sealing_checks(keyring: Keyring, counts: Mapping[str, int]) -> Iterator[Check]:
    """What is sealed with a key that is not set, and what is sealed with another one than the first or not at all."""
    first, *others = (key_id(key).hex() for key in keyring.keys)
    if missing := {key: count for key, count in counts.items() if key not in (first, *others, *rotation.NO_KEY)}:
        yield Check(
            subject="INTEGRATION_ENCRYPTION_KEY",
            good=False,
            finding=f"not set, but in use: {_counted(missing)}",
            mend="add the old key after a comma, then kb-ingest keys rotate",
        )
    if older := {key: count for key, count in counts.items() if key != first and key not in missing}:
        yield Check(
            subject="INTEGRATION_ENCRYPTION_KEY",
            good=True,
            finding=f"not sealed with the first key, {first}: {_counted(older)}",
            mend="kb-ingest keys rotate",
        )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} row(s) of {key}" for key, count in counts.items())


async def _broker(settings: Settings) -> Check:
    if settings.amqp_url is None:
        return Check(subject="AMQP_URL", good=True, finding="not set: `up` uses the embedded bus, the rest needs it")
    async with AsyncExitStack() as stack:
        bus = RabbitMQ(settings.need("amqp_url"), name="kb-ingest doctor")
        await bus.start(within=BROKER_SECONDS)
        stack.push_async_callback(bus.close)
        if bus.ready:
            return Check(subject="AMQP_URL", good=True, finding="reachable, queues declared")
        finding = f"no connection: {bus.fault}" if bus.fault else "no connection"
        return Check(
            subject="AMQP_URL", good=False, finding=finding, mend="check address, user, virtual host and server"
        )


async def _integrations(settings: Settings) -> list[Row]:
    async with admin(settings) as database:
        return await integrations.find(database)


async def _integration(row: Row, opener: Opener) -> AsyncIterator[Check]:
    subject = f"{row['name']} {row['id']}"
    if not row["enabled"]:
        mend = f"kb-ingest integration enable {row['id']}"
        yield Check(subject=subject, good=True, finding="disabled: its webhooks are ignored", mend=mend)
        return
    try:
        access = opener.open(row, Priority.WEBHOOK)
    except SealError as error:
        yield Check(subject=subject, good=False, finding=str(error), mend="restore the key or connect anew")
        return
    token, workspace = str(access.settings.get("token") or ""), str(access.settings.get("workspace_id") or "")
    client = ClickUp(access.http, url=access.url, token=token, turns=access.turns, attempts=1)
    try:
        user = await client.user()
        yield Check(subject=subject, good=True, finding=f"token of {user.get('username')}")
        hooks = await client.webhooks(workspace)
    except (TokenRefused, Gone, Rejected) as error:
        mend = "connect the integration again with a good token and workspace"
        yield Check(subject=subject, good=False, finding=str(error), mend=mend)
        return
    except ClickUpError as error:
        mend = "try again later; check CLICKUP_API_URL if it stays so"
        yield Check(subject=subject, good=False, finding=str(error), mend=mend)
        return
    if not hooks:
        mend = f"kb-ingest webhook register {row['id']}"
        yield Check(subject=subject, good=False, finding="no webhook in this workspace", mend=mend)
    for hook in hooks:
        health = hook.get("health") or {}
        status, failures = health.get("status"), health.get("fail_count")
        yield Check(
            subject=subject,
            good=status == "active",
            finding=f"webhook {hook.get('id')} is {status or 'of unknown health'}, {failures or 0} lost",
            mend=""
            if status == "active"
            else f"see that ingest is reachable, then kb-ingest webhook repair {row['id']}",
        )
