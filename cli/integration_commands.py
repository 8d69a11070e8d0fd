"""`kb-ingest integration ...`: connect, look at, switch and remove integrations."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import orjson
import typer

from cli import audit, connect, output, webhook_commands
from cli.settings import Settings, load
from cli.setup import admin, secret
from integrations.registry import masked, providers
from integrations.sealed_rows import open_settings, secret_row, settings_row
from integrations.sealing import Keyring
from integrations.settings import Invalid, checked
from schema import integrations
from schema.integrations import AlreadyConnected, NewIntegration, NewSecret
from schema.postgres import Row

app = typer.Typer(
    help="Connect, look at, switch and remove integrations.", epilog="Example: kb-ingest integration list"
)

Id = Annotated[UUID, typer.Argument(metavar="ID", help="The integration's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

COLUMNS = {
    "id": "ID",
    "name": "Provider",
    "display_name": "Name",
    "org_id": "Organisation",
    "enabled": "Enabled",
    "import_status": "Import",
    "total_synced_tasks": "Tasks",
    "last_task_sync_at": "Last task",
    "consecutive_failures": "Failures",
}


def new_integration(
    keyring: Keyring,
    *,
    name: str,
    org: str,
    project: UUID,
    settings: dict[str, Any],
    hook: tuple[str, str] | None,
    enabled: bool,
    display_name: str | None = None,
) -> tuple[NewIntegration, list[NewSecret]]:
    """Rows of a new integration, sealed. `hook` is the webhook's id and secret."""
    id_, secret_id = uuid4(), uuid4()
    provider = providers()[name]
    new = NewIntegration(
        id=id_,
        name=name,
        display_name=display_name or provider.display_name,
        description=provider.description,
        enabled=enabled,
        org_id=org,
        project_id=project,
        settings_sealed=keyring.seal(orjson.dumps(settings), row=settings_row(id_)),
        created_by=audit.whoami(),
    )
    if hook is None:
        return new, []
    sealed = keyring.seal(hook[1].encode(), row=secret_row(secret_id))
    return new, [NewSecret(id=secret_id, webhook_id=hook[0], secret_sealed=sealed)]


@app.command(
    epilog="Example: kb-ingest integration create --name clickup --org acme --project "
    "7b0f6c1e-0c1f-4c39-8a36-0d6f5f0e2b11 --workspace 9012345678 --token-file token.txt --enable"
)
def create(
    *,
    name: Annotated[str, typer.Option(help="The provider.")] = "clickup",
    org: Annotated[str, typer.Option(help="The organisation that owns it.")],
    project: Annotated[UUID, typer.Option(help="The project whose knowledge base it fills.")],
    workspace: Annotated[str, typer.Option(help="The ClickUp workspace's id.")],
    token: Annotated[str | None, typer.Option(help="The API token; better from a file.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="A file with the token; - is standard input.")] = None,
    webhook_id: Annotated[str | None, typer.Option(help="The id of a webhook that exists already.")] = None,
    webhook_secret: Annotated[str | None, typer.Option(help="Its secret; better from a file.")] = None,
    webhook_secret_file: Annotated[Path | None, typer.Option(help="A file with it; - is standard input.")] = None,
    display_name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    enable: Annotated[bool, typer.Option("--enable", help="Begin to apply its webhooks at once.")] = False,
    json: Json = False,
) -> None:
    """Connect a provider to a project."""
    if name not in providers():
        raise output.Misused(f"no provider is called {name!r}; there are {', '.join(providers())}")
    if str(token_file) == str(webhook_secret_file) == "-":
        raise output.Misused("standard input can be only one of token and webhook's secret; put the other in a file")
    given = secret(token, token_file, what="the token")
    hook_secret = secret(webhook_secret, webhook_secret_file, what="the webhook's secret")
    if given is None:
        raise output.Misused("the token is missing: give --token-file or --token")
    if (webhook_id is None) != (hook_secret is None):
        raise output.Misused("a webhook needs both its id and its secret: --webhook-id and --webhook-secret-file")
    try:
        opened = checked(providers()[name].settings, {"token": given, "workspace_id": workspace})
    except Invalid as error:
        raise output.Misused(str(error)) from error
    hook = (webhook_id, hook_secret) if webhook_id is not None and hook_secret is not None else None
    settings = load()
    new, secrets = new_integration(
        settings.keyring(),
        name=name,
        org=org,
        project=project,
        settings=opened,
        hook=hook,
        enabled=enable,
        display_name=display_name,
    )
    asyncio.run(_create(settings, new, secrets, json=json))


async def _create(settings: Settings, new: NewIntegration, secrets: list[NewSecret], *, json: bool) -> None:
    async with admin(settings) as database:
        try:
            row = await integrations.create(database, new, secrets)
        except AlreadyConnected as error:
            raise output.Failed(str(error)) from error
        await audit.of_integration(database, "integration_create", row)
    _show(shown(row, settings.keyring()), json=json)


async def _connected(settings: Settings, wish: connect.Wish, opened: Mapping[str, Any]) -> None:
    new, secrets = new_integration(
        settings.keyring(),
        name=connect.PROVIDER,
        org=wish.org,
        project=wish.project,
        settings=dict(opened),
        hook=None,
        enabled=wish.enable,
        display_name=wish.display_name,
    )
    await _create(settings, new, secrets, json=wish.json)


app.command(
    epilog="Example: kb-ingest integration connect --client-id 7K2Q --client-secret-file secret.txt --org acme "
    "--project 7b0f6c1e-0c1f-4c39-8a36-0d6f5f0e2b11 --enable"
)(connect.command(_connected))


def shown(row: Row, keyring: Keyring) -> dict[str, Any]:
    """An integration as it may leave: settings masked, sealed columns left out."""
    fields = {name: value for name, value in row.items() if name not in ("settings_encrypted", "webhook_secret")}
    sealed = row["settings_encrypted"]
    opened = open_settings(keyring, row["id"], sealed) if sealed else {}
    return fields | {"settings": masked(providers()[row["name"]], opened)}


def _show(fields: dict[str, Any], *, json: bool) -> None:
    if json:
        output.json(fields)
        return
    settings = fields.pop("settings")
    output.fields([*fields.items(), *((f"settings.{name}", value) for name, value in settings.items())])


@app.command("list", epilog="Example: kb-ingest integration list --json")
def list_(*, json: Json = False) -> None:
    """All integrations, newest first."""
    rows = asyncio.run(_find(load(), None))
    if json:
        hidden = ("settings_encrypted", "webhook_secret")
        output.json([{name: value for name, value in row.items() if name not in hidden} for row in rows])
    else:
        output.table(COLUMNS, rows, empty="no integration yet; see `kb-ingest integration create --help`")


@app.command(epilog="Example: kb-ingest integration show 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10 --json")
def show(id_: Id, *, json: Json = False) -> None:
    """One integration with its masked settings and sync state."""
    settings = load()
    rows = asyncio.run(_find(settings, id_))
    if not rows:
        raise _unknown(id_)
    _show(shown(rows[0], settings.keyring()), json=json)


async def _find(settings: Settings, id_: UUID | None) -> list[Row]:
    async with admin(settings) as database:
        return await integrations.find(database, id_)


@app.command(epilog="Example: kb-ingest integration enable 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10")
def enable(id_: Id) -> None:
    """Apply its webhooks from now on."""
    asyncio.run(_switch(load(), id_, enabled=True))
    output.say(f"enabled {id_}")


@app.command(epilog="Example: kb-ingest integration disable 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10")
def disable(id_: Id) -> None:
    """Keep its data, but follow it no longer."""
    asyncio.run(_switch(load(), id_, enabled=False))
    output.say(f"disabled {id_}")


async def _switch(settings: Settings, id_: UUID, *, enabled: bool) -> None:
    async with admin(settings) as database:
        if not await integrations.enable(database, id_, enabled=enabled):
            raise _unknown(id_)
        await audit.of_integration(database, "integration_change", (await integrations.find(database, id_))[0])


@app.command(epilog="Example: kb-ingest integration delete 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10 --yes")
def delete(id_: Id, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Remove an integration and everything it brought into the knowledge base; its webhook at ClickUp first."""
    try:
        sure = yes or typer.confirm(f"Delete integration {id_} and all its objects?")
    except typer.Abort as error:
        raise output.Failed("nothing was deleted: nobody answered; give --yes") from error
    if not sure:
        raise output.Failed("nothing was deleted")
    left = asyncio.run(_delete(load(), id_))
    output.say(f"deleted {id_}")
    if left is not None:
        output.say(f"its webhook may be left at ClickUp, where it can be removed by hand: {left}")


async def _delete(settings: Settings, id_: UUID) -> str | None:
    async with admin(settings) as database:
        if not (rows := await integrations.find(database, id_)):
            raise _unknown(id_)
        left = await webhook_commands.farewell(settings, id_)
        if not await integrations.delete(database, id_):
            raise _unknown(id_)
        await audit.of_integration(database, "integration_delete", rows[0])
    return left


def _unknown(id_: UUID) -> output.Failed:
    return output.Failed(f"there is no integration {id_}; see `kb-ingest integration list`")
