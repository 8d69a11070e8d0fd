"""`kb-ingest token ...`: make, list and revoke API tokens."""

from __future__ import annotations

import asyncio
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

import typer

from cli import audit, output
from cli.settings import Settings, load
from cli.setup import admin
from gallery.identity import SCOPES
from schema import tokens
from schema.postgres import Row
from schema.tokens import NewToken

app = typer.Typer(help="Make, list and revoke API tokens.", epilog="Example: kb-ingest token list")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

COLUMNS = {
    "id": "ID",
    "name": "Name",
    "scopes": "Scopes",
    "org_id": "Organisation",
    "project_id": "Project",
    "expires_at": "Expires",
    "last_used_at": "Last used",
    "revoked_at": "Revoked",
}
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST_NAME: Final = 100
LONGEST: Final = timedelta(weeks=5200)


def duration(text: str) -> timedelta:
    """A length of time such as 90s, 12h, 30d or 4w. Raises `output.Misused`."""
    found = re.fullmatch(r"([0-9]{1,8})([smhdw])", text.strip())
    length = timedelta(**{UNITS[found[2]]: int(found[1])}) if found is not None else timedelta()
    if not timedelta() < length <= LONGEST:
        raise output.Misused(f"{text!r} is no length of time; for example 90s, 45m, 12h, 30d or 4w")
    return length


def new_token(
    *,
    random: bytes,
    now: datetime,
    name: str,
    scopes: list[str],
    org: str | None = None,
    project: UUID | None = None,
    lifetime: timedelta | None = None,
) -> tuple[NewToken, str]:
    """A token's row, and the token itself, which is in nothing else."""
    text = tokens.text(random)
    new = NewToken(
        id=uuid4(),
        name=name,
        hash=tokens.digest(text),
        scopes=[scope for scope in SCOPES if scope in scopes],
        org_id=org,
        project_id=project,
        created_at=now,
        created_by=audit.whoami(),
        expires_at=now + lifetime if lifetime is not None else None,
    )
    return new, text


@app.command(
    epilog=f"Scopes: {', '.join(SCOPES)}. "
    "Example: kb-ingest token create --name dashboard --scope integrations:read --scope events:read --expires-in 30d"
)
def create(
    *,
    name: Annotated[str, typer.Option(help="Whose or what for; it is shown and written to the audit.")],
    scope: Annotated[list[str], typer.Option(help="What it allows; may be given several times.")],
    org: Annotated[str | None, typer.Option(help="Only what this organisation owns.")] = None,
    project: Annotated[UUID | None, typer.Option(help="Only this project.")] = None,
    expires_in: Annotated[str | None, typer.Option(help="Such as 12h, 30d, 4w; without it, it never expires.")] = None,
    json: Json = False,
) -> None:
    """Make an API token. It is shown this once."""
    unknown = [one for one in scope if one not in SCOPES]
    if unknown:
        raise output.Misused(f"no scope is called {unknown[0]!r}; there are {', '.join(SCOPES)}")
    if not 0 < len(name.strip()) <= LONGEST_NAME or not name.isprintable():
        raise output.Misused(f"--name must be one line of 1 to {LONGEST_NAME} characters")
    if org is not None and not org.strip():
        raise output.Misused("--org is empty, which would restrict nothing; is a variable of your shell unset?")
    new, text = new_token(
        random=os.urandom(tokens.OCTETS),
        now=datetime.now(UTC),
        name=name.strip(),
        scopes=scope,
        org=org,
        project=project,
        lifetime=duration(expires_in) if expires_in is not None else None,
    )
    asyncio.run(_create(load(), new))
    if json:
        output.json({"id": new.id, "token": text, "name": new.name, "scopes": new.scopes, "expires_at": new.expires_at})
        return
    until = f"until {output.cell(new.expires_at)}" if new.expires_at is not None else "until it is revoked"
    output.say(f"token {new.id} allows {', '.join(new.scopes)} {until}; keep it now, it is not shown again:")
    output.say(text)


async def _create(settings: Settings, new: NewToken) -> None:
    async with admin(settings) as database:
        await tokens.create(database, new)
        details = {"token": str(new.id), "name": new.name, "scopes": list(new.scopes)}
        await audit.write(database, "token_create", details, org=new.org_id, project=new.project_id)


@app.command("list", epilog="Example: kb-ingest token list --json")
def list_(*, json: Json = False) -> None:
    """All API tokens, newest first; what was never kept cannot be shown."""
    rows: list[dict[str, Any]] = [dict(row) for row in asyncio.run(_all(load()))]
    if json:
        output.json(rows)
        return
    readable = [row | {"scopes": " ".join(row["scopes"])} for row in rows]
    output.table(COLUMNS, readable, empty="no API token yet; see `kb-ingest token create --help`")


async def _all(settings: Settings) -> list[Row]:
    async with admin(settings) as database:
        return await tokens.everything(database)


@app.command(epilog="Example: kb-ingest token revoke 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10")
def revoke(id_: Annotated[UUID, typer.Argument(metavar="ID", help="The token's id.")]) -> None:
    """Let a token count no longer, for good. It and its sessions end within 5 seconds."""
    asyncio.run(_revoke(load(), id_))
    output.say(f"revoked {id_}")


async def _revoke(settings: Settings, id_: UUID) -> None:
    async with admin(settings) as database:
        if not await tokens.revoke(database, id_, at=datetime.now(UTC)):
            raise output.Failed(f"there is no token {id_}; see `kb-ingest token list`")
        await audit.write(database, "token_revoke", {"token": str(id_)})
