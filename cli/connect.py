"""`kb-ingest integration connect`: ClickUp's OAuth authorization code, taken in the browser, becomes an integration.

Promises: the callback is listened on, and the project seen to be free, before anybody is sent to ClickUp; every wait
has an end; code, token and client secret are printed and logged nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import typer

from cli import output
from cli.callback import Callback, listening, quote
from cli.settings import Settings, load
from cli.setup import admin, secret
from integrations.budget import Budget, Priority
from integrations.clickup.client import ClickUp, exchange_code, transport
from integrations.clickup.errors import ClickUpError
from integrations.clickup.listings import Entity
from integrations.clickup.values import identity
from schema import integrations
from schema.postgres import Database

PROVIDER: Final = "clickup"
EXCHANGE_SECONDS: Final = 60.0
"""For the token and its workspaces, once the browser came back."""
ATTEMPTS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be connected, how ClickUp's answer comes here, and how the integration is printed."""

    org: str
    project: UUID
    workspace: str | None
    display_name: str | None
    enable: bool
    client_id: str
    client_secret: str = field(repr=False)
    port: int
    timeout: int
    browser: bool
    json: bool


Create = Callable[[Settings, Wish, Mapping[str, Any]], Awaitable[None]]
"""Creates the integration with these settings of its own, and prints it."""


def command(create: Create) -> Callable[..., None]:
    """The command, for the group of commands that knows how an integration is created."""

    def connect(
        *,
        client_id: Annotated[str, typer.Option(help="The id of your OAuth app in ClickUp.")],
        client_secret: Annotated[str | None, typer.Option(help="Its secret; better from a file.")] = None,
        client_secret_file: Annotated[Path | None, typer.Option(help="A file with it; - is standard input.")] = None,
        org: Annotated[str, typer.Option(help="The organisation that owns it.")],
        project: Annotated[UUID, typer.Option(help="The project whose knowledge base it fills.")],
        workspace: Annotated[str | None, typer.Option(help="Which one, if several are allowed.")] = None,
        display_name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
        enable: Annotated[bool, typer.Option("--enable", help="Begin to apply its webhooks at once.")] = False,
        port: Annotated[int, typer.Option(help="Of the callback; 0 takes a free one.", min=0, max=65535)] = 8765,
        timeout: Annotated[int, typer.Option(help="Seconds to wait for the browser.", min=1, max=86400)] = 300,
        no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address to open.")] = False,
        json: Annotated[bool, typer.Option("--json", help="Print JSON; the address goes to standard error.")] = False,
    ) -> None:
        """Connect a ClickUp workspace with OAuth: allow it in the browser, no token to copy."""
        given = secret(client_secret, client_secret_file, what="the client secret")
        if given is None:
            raise output.Misused("the client secret is missing: give --client-secret-file or --client-secret")
        wish = Wish(
            org=org,
            project=project,
            workspace=workspace,
            display_name=display_name,
            enable=enable,
            client_id=client_id,
            client_secret=given,
            port=port,
            timeout=timeout,
            browser=not no_browser,
            json=json,
        )
        asyncio.run(_connect(load(), wish, create))

    return connect


async def _connect(settings: Settings, wish: Wish, create: Create) -> None:
    settings.keyring()  # if there is none, nobody need be asked
    async with admin(settings) as database, transport() as http, listening(wish.port) as callback:
        await _see_that_free(database, wish.project)
        _invite(settings, wish, callback)
        with callback.ending():
            code = await callback.code(wish.timeout)
            token, teams = await _exchanged(settings, wish, code, database, http)
            # the token does not expire and nothing refreshes it, so it is all there is to keep
            opened = {"token": token, "workspace_id": _chosen(teams, wish.workspace), "auth": "oauth"}
            await create(settings, wish, opened)


async def _see_that_free(database: Database, project: UUID) -> None:
    rows = await integrations.find(database)
    if any((row["name"], row["project_id"]) == (PROVIDER, project) for row in rows):
        raise output.Failed(
            f"project {project} has a {PROVIDER} integration already; see it with `kb-ingest integration list`, or "
            "delete it first"
        )


def _invite(settings: Settings, wish: Wish, callback: Callback) -> None:
    """Print the address to open, and open it where there is somebody to look at it."""
    query = {"client_id": wish.client_id, "redirect_uri": callback.address, "state": callback.state}
    url = f"{settings.clickup_app_url.value.rstrip('/')}?{urlencode(query)}"
    stream = sys.stderr if wish.json else sys.stdout
    stream.write(f"Open this address, and allow the workspace there (within {wish.timeout} s):\n{url}\n")
    stream.flush()
    if wish.browser and stream.isatty():
        # a thread that nobody waits for: a browser in the terminal ends when it is closed
        threading.Thread(target=_browse, args=(url,), name="browser", daemon=True).start()


def _browse(url: str) -> None:
    with contextlib.suppress(Exception):  # the address is printed
        webbrowser.open(url)


async def _exchanged(
    settings: Settings, wish: Wish, code: str, database: Database, http: httpx.AsyncClient
) -> tuple[str, Sequence[Entity]]:
    """The token for the code, and the workspaces that were allowed."""
    api = settings.clickup_api_url.value
    try:
        async with asyncio.timeout(EXCHANGE_SECONDS):
            token = await exchange_code(
                http, url=api, client_id=wish.client_id, client_secret=wish.client_secret, code=code
            )
            turns = Budget(database).turns(url=api, token=token, integration_id=uuid4(), priority=Priority.WEBHOOK)
            return token, await ClickUp(http, url=api, token=token, turns=turns, attempts=ATTEMPTS).teams()
    except ClickUpError as error:
        raise output.Failed(str(error)) from error
    except TimeoutError:
        raise output.Failed(f"ClickUp did not give a token within {EXCHANGE_SECONDS:.0f} s; run it again") from None


def _chosen(teams: Sequence[Entity], wanted: str | None) -> str:
    allowed = {id_: quote(team.get("name")) for team in teams if (id_ := identity(team.get("id"))) is not None}
    listed = ", ".join(f"{id_} ({name})" for id_, name in allowed.items())
    if not allowed:
        raise output.Failed("no workspace was allowed in ClickUp; run it again and pick one there")
    if wanted is not None and wanted not in allowed:
        raise output.Failed(f"workspace {quote(wanted)} was not allowed, but {listed}; run it again with one of them")
    if wanted is None and len(allowed) > 1:
        raise output.Failed(f"several workspaces were allowed: {listed}; run it again with --workspace and one id")
    return wanted if wanted is not None else next(iter(allowed))
