"""`kb-ingest webhook ...`: register, look at, repair and remove an integration's webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import typer

from cli import audit, output, programs
from cli.settings import ConfigurationError, Settings, load, url_fault
from cli.setup import admin
from consumers.hooks import Busy, Keeper, Wish, unsecret
from integrations.clickup.client import transport
from integrations.clickup.hook_diagnosis import CHOICES
from integrations.hooks import Tended
from schema import integrations
from schema.postgres import Database

app = typer.Typer(help="Register, look at, repair and remove webhooks.", epilog="Example: kb-ingest webhook status ID")

Id = Annotated[UUID, typer.Argument(metavar="ID", help="The integration's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Url = Annotated[str | None, typer.Option(help="Where ClickUp reaches ingest, instead of PUBLIC_URL.")]
Events = Annotated[str | None, typer.Option(help="all, or minimal: half the deliveries, and nothing lost.")]
FAREWELL_SECONDS: Final = 8.0
WORDS = {
    "registered": "registered a hook",
    "adopted": "took over a hook that was there",
    "reactivated": "set the hook active again",
    "secret_changed": "stored the hook's new secret",
    "events_changed": "changed what the hook hears",
    "moved": "had the hook deliver to the right address again",
    "recreated": "exchanged a hook that could not be mended",
    "widened": "exchanged a hook of a part for one of the whole workspace",
    "rotated": "exchanged the hook for one with a new secret",
    "removed": "removed a hook",
}


@app.command(epilog="Example: kb-ingest webhook register 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10 --events minimal")
def register(id_: Id, *, url: Url = None, events: Events = None, json: Json = False) -> None:
    """See that there is one hook that delivers to us: take over what is there, else make one."""
    asyncio.run(_tend(load(), id_, Wish(wanted=True, endpoint=_endpoint(url, id_), events=_events(events)), json=json))


@app.command(epilog="Example: kb-ingest webhook repair 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10 --rotate")
def repair(
    id_: Id,
    *,
    rotate: Annotated[bool, typer.Option("--rotate", help="Exchange it for one with a new secret.")] = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Put the hook in order now, as `upkeep` does every minute."""
    asyncio.run(_tend(load(), id_, Wish(wanted=True, rotate=rotate, endpoint=_endpoint(url, id_)), json=json))


@app.command(epilog="Example: kb-ingest webhook delete 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10")
def delete(id_: Id, *, json: Json = False) -> None:
    """Remove the hook; nothing is delivered any more until it is registered again."""
    asyncio.run(_tend(load(), id_, Wish(wanted=False), json=json))


@app.command(epilog="Example: kb-ingest webhook status 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10 --json")
def status(id_: Id, *, json: Json = False) -> None:
    """How ClickUp says the hook is, what it needs, and how many changes no delivery had brought."""
    asyncio.run(_status(load(), id_, json=json))


def _endpoint(url: str | None, id_: UUID) -> str | None:
    if url is None:
        return None
    if (wrong := url_fault(url, "http", "https")) is not None:
        raise output.Misused(f"--url {wrong}; for example https://ingest.example.com")
    return url if "/webhooks/" in urlsplit(url).path else f"{url.rstrip('/')}/webhooks/clickup/{id_}"


def _events(choice: str | None) -> tuple[str, ...] | None:
    if choice is None:
        return None
    if choice not in CHOICES:
        raise output.Misused(f"--events is {choice!r}; there are {', '.join(CHOICES)}")
    return CHOICES[choice]


@asynccontextmanager
async def _keeper(settings: Settings, id_: UUID) -> AsyncIterator[tuple[Keeper, Database]]:
    async with admin(settings) as database, transport() as http:
        if not await integrations.find(database, id_):
            raise output.Failed(f"there is no integration {id_}; see `kb-ingest integration list`")
        yield (
            Keeper(
                database=database,
                opener=programs.opener(settings, database, http),
                keyring=settings.keyring(),
                public_url=settings.public_address(),
                actor=audit.whoami(),
                every=settings.timing().look,
            ),
            database,
        )


async def _tend(settings: Settings, id_: UUID, wish: Wish, *, json: bool) -> None:
    async with _keeper(settings, id_) as (keeper, database):
        await database.execute("hook_know", id_)
        try:
            tended = await keeper.tend(await keeper.take(id_), wish)
        except Busy as error:
            raise output.Failed(str(error)) from error
    _print(tended, json=json)
    if tended.problem is not None:
        raise output.Failed(tended.problem)


async def farewell(settings: Settings, id_: UUID) -> str | None:
    """Remove the hook of an integration that is about to go; why it is left at the source, if it is."""
    try:
        async with asyncio.timeout(FAREWELL_SECONDS), _keeper(settings, id_) as (keeper, database):
            if not any(row["secret_sealed"] for row in await database.fetch("hook_secrets", id_)):
                return None
            return (await keeper.tend(await keeper.take(id_), Wish(wanted=False))).problem
    except (Busy, ConfigurationError) as error:
        return str(error)
    except TimeoutError:
        return f"ClickUp did not answer within {FAREWELL_SECONDS:g} s"


async def _status(settings: Settings, id_: UUID, *, json: bool) -> None:
    async with _keeper(settings, id_) as (keeper, database):
        tended = await keeper.look(id_)
        known = await database.fetchrow("hook_show", id_)
    _print(tended, json=json, **(dict(known) if known else {}))
    if tended.problem is not None:
        raise output.Failed(tended.problem)


def _print(tended: Tended, *, json: bool, **more: Any) -> None:
    hook = asdict(unsecret(tended.hook)) if tended.hook else {}
    hook.pop("secret", None)
    told = {"webhook_id": hook.pop("id", None), "status": "missing", **hook, "problem": tended.problem, **more}
    if json:
        output.json(told | {"did": [deed.action for deed in tended.deeds], "blind": tended.blind})
        return
    for deed in tended.deeds:
        output.say(f"{WORDS.get(deed.action, deed.action)} ({deed.details['webhook_id']})")
    output.fields([(name, ", ".join(value) if isinstance(value, tuple) else value) for name, value in told.items()])
