"""`token ...` as an operator meets it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from cli.output import Misused
from cli.token_commands import duration
from gallery.access import Gatekeeper
from gallery.identity import SCOPES, NotRecognised
from schema.postgres import Database
from tests.cli.conftest import Commands


def gate(database: Database, *, later: timedelta = timedelta()) -> Gatekeeper:
    return Gatekeeper(database, None, lambda: datetime.now(UTC) + later, os.urandom)


async def test_a_token_from_its_making_to_its_end(configured: Commands, database: Database, sql: Any) -> None:
    """Shown once, recognised with what it may, listed without itself, refused when revoked."""
    project = uuid4()
    made = (
        await configured(
            f"token create --name ci --scope events:read --scope integrations:read --scope events:read"
            f" --org acme --project {project} --expires-in 30d --json"
        )
    ).json
    assert made.keys() == {"id", "token", "name", "scopes", "expires_at"}
    assert (made["name"], made["scopes"]) == ("ci", ["integrations:read", "events:read"])
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left < timedelta(days=30)
    principal = await gate(database).bearer(made["token"])
    assert (principal.subject, principal.org_id, principal.project_id) == ("token:ci", "acme", project)
    assert principal.scopes == {"integrations:read", "events:read"}
    with pytest.raises(NotRecognised, match="expired"):
        await gate(database, later=timedelta(days=31)).bearer(made["token"])

    for _ in range(2):
        assert (await configured(f"token revoke {made['id']}")).out == f"revoked {made['id']}\n"
    with pytest.raises(NotRecognised, match="revoked"):
        await gate(database).bearer(made["token"])
    listing, table = await configured("token list --json"), (await configured("token list")).out
    (listed,) = listing.json
    assert UUID(listed["id"]) == UUID(made["id"])
    assert listed["revoked_at"] is not None
    assert "hash" not in listed
    assert made["id"] in table
    audit = await sql.fetch("SELECT action, actor, org_id, details::text AS details FROM kb.audit_log ORDER BY id")
    assert [row["action"] for row in audit] == ["token_create", "token_revoke", "token_revoke"]
    assert audit[0]["org_id"] == "acme"
    assert all(row["actor"].startswith("cli:") and made["id"] in row["details"] for row in audit)
    for printed in (listing.out, table, *(row["details"] for row in audit)):
        assert made["token"] not in printed
        assert "kbi_" not in printed


async def test_a_token_for_people(configured: Commands, database: Database) -> None:
    """Text, with the token on a line of its own; without an end, without restrictions."""
    ended = await configured("token create --name", "Nadia's laptop", "--scope", "knowledge:read")
    said, text = ended.out.splitlines()
    assert "until it is revoked" in said
    principal = await gate(database).bearer(text)
    assert (principal.name, principal.org_id, principal.project_id, principal.expires_at) == (
        "Nadia's laptop", None, None, None,
    )  # fmt: skip


async def test_no_token_yet(configured: Commands) -> None:
    """An empty list says what to do; as JSON it is empty."""
    assert "token create" in (await configured("token list")).out
    assert (await configured("token list --json")).json == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "x", "--scope", "events:write"], "integrations:write"),
        (["--name", "x"], "--scope"),
        (["--scope", "events:read"], "--name"),
        (["--name", " ", "--scope", "events:read"], "--name"),
        (["--name", "a\nb", "--scope", "events:read"], "--name"),
        (["--name", "x", "--scope", "events:read", "--org", ""], "--org"),
        (["--name", "x", "--scope", "events:read", "--project", "7"], "--project"),
        (["--name", "x", "--scope", "events:read", "--expires-in", "soon"], "30d"),
        (["--name", "x", "--scope", "events:read", "--expires-in", "0d"], "30d"),
    ],
)
async def test_called_wrongly(kb: Commands, words: list[str], said: str) -> None:
    """Exit 2, and a line that says what is wrong; an unknown scope names those there are."""
    ended = await kb("token create", *words)
    assert ended.code == 2
    assert said in ended.error
    if "events:write" in words:
        assert all(scope in ended.error for scope in SCOPES)


async def test_there_is_no_such_token(configured: Commands) -> None:
    """Exit 1, and where to look."""
    ended = await configured(f"token revoke {uuid4()}")
    assert ended.code == 1
    assert "token list" in ended.error


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("45m", 2700), ("12h", 43200), ("30d", 2592000), ("4w", 2419200), (" 1s ", 1)],
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    """A number and a unit."""
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "d", "30", "30 d", "-1d", "1.5h", "1y", "30D", "٣d", "999999999w", "1d2h", "0s"])
def test_no_lengths_of_time(text: str) -> None:
    """Anything else, however large, is a wrong call."""
    with pytest.raises(Misused):
        duration(text)
