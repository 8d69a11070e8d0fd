"""`keys ...` as an operator meets it: a key is exchanged step by step, and none is ever shown."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from cli.doctor import sealing_checks
from integrations.sealed_rows import settings_row
from integrations.sealing import Keyring, key_id
from schema.postgres import Database
from tests.cli.conftest import Commands
from tests.conftest import KEY, SECRET, Connected, connect

NEW = bytes(range(100, 132))
FIRST, SECOND = key_id(NEW).hex(), key_id(bytes.fromhex(KEY)).hex()
TOKEN = "pk_48213377_PLANTEDPLANTEDPLANTED"


@pytest.fixture
async def one(database: Database, keyring: Keyring) -> Connected:
    """An integration sealed with the key that is set."""
    return await connect(database, keyring, token=TOKEN)


async def counts(commands: Commands) -> dict[str, tuple[str, int]]:
    return {row["key"]: (row["use"], row["rows"]) for row in (await commands("keys list --json")).json}


async def test_the_runbook(one: Connected, configured: Commands, sql: Any) -> None:
    """The steps of the runbook: the new key first, rotate, list, the old one away; everything opens all along."""
    await sql.execute("UPDATE kb.integrations SET webhook_secret = $1", SECRET[::-1])
    assert await counts(configured) == {
        SECOND: ("seals and opens", 2),
        "plain": ("not sealed, of an earlier system", 1),
    }
    configured.configure(INTEGRATION_ENCRYPTION_KEY=f"{NEW.hex()},{KEY}")
    assert (await counts(configured))[SECOND] == ("opens", 2)
    assert (await configured("integration show", str(one.id))).code == 0
    report = (await configured("keys rotate --json")).json
    assert report == {
        "key": FIRST,
        "before": {SECOND: 2, "plain": 1},
        "after": {FIRST: 3},
        "renewed": 3,
        "unopened": [],
    }
    assert await sql.fetchval("SELECT details ->> 'renewed' FROM kb.audit_log WHERE action = 'keys_rotate'") == "3"
    assert await counts(configured) == {FIRST: ("seals and opens", 3), SECOND: ("opens", 0)}
    configured.configure(INTEGRATION_ENCRYPTION_KEY=NEW.hex())
    assert (await configured("integration show", str(one.id), "--json")).json["settings"]["token"] == "pk_4****NTED"
    again = await configured("keys rotate")
    assert (again.code, again.out.splitlines()[-1]) == (0, f"sealed 0 row(s) anew with key {FIRST}")
    for secret in (TOKEN, SECRET, SECRET[::-1], KEY, NEW.hex()):
        assert secret not in configured.printed


@pytest.mark.usefixtures("one")
async def test_the_report_for_people(configured: Commands) -> None:
    """Without --json the report is a table of rows a key, before and after."""
    configured.configure(INTEGRATION_ENCRYPTION_KEY=f"{NEW.hex()},{KEY}")
    lines = [line.split() for line in (await configured("keys rotate")).out.splitlines()]
    assert [FIRST, "0", "2"] in lines
    assert [SECOND, "2", "0"] in lines
    assert [FIRST, "seals", "and", "opens", "2"] in [
        line.split() for line in (await configured("keys list")).out.splitlines()
    ]


@pytest.mark.parametrize("form", ["", "--json"])
async def test_the_key_is_missing(form: str, one: Connected, configured: Commands, sql: Any) -> None:
    """Rows whose key is not set are named with what to do, the exit code is 1, and they stay as they were."""
    before = await sql.fetch("SELECT settings_encrypted FROM kb.integrations")
    configured.configure(INTEGRATION_ENCRYPTION_KEY=NEW.hex())
    assert (await counts(configured))[SECOND] == ("not set: these rows do not open", 2)
    ended = await configured(f"keys rotate {form}")
    assert ended.code == 1
    assert "2 row(s) do not open" in ended.error
    assert settings_row(one.id) in ended.out
    assert f"sealed with key {SECOND}, but only {FIRST} is set; add the old key" in " ".join(ended.out.split())
    if form:
        assert orjson.loads(ended.out)["unopened"][0]["row"] == settings_row(one.id)
    assert await sql.fetch("SELECT settings_encrypted FROM kb.integrations") == before
    for secret in (TOKEN, SECRET, KEY, NEW.hex()):
        assert secret not in configured.printed


@pytest.mark.parametrize("line", ["keys list", "keys rotate"])
async def test_without_a_key_nothing_starts(line: str, configured: Commands) -> None:
    """No key set is one line that names the variable and how to make one."""
    configured.configure(INTEGRATION_ENCRYPTION_KEY=None)
    ended = await configured(line)
    assert (ended.code, "INTEGRATION_ENCRYPTION_KEY is not set" in ended.error) == (1, True)


async def test_settings_of_an_earlier_system_are_shown_masked(one: Connected, configured: Commands, sql: Any) -> None:
    """Names that an earlier system gave to secrets are masked as ours are, before and after a rotation."""
    plain = {"api_token": TOKEN, "workspace_id": "1", "refreshToken": TOKEN[::-1], "authentication": {"x": TOKEN}}
    await sql.execute("CREATE EXTENSION IF NOT EXISTS pgcrypto")
    await sql.execute(
        "UPDATE kb.integrations SET settings_encrypted = pgp_sym_encrypt($1, $2, 'cipher-algo=aes256')",
        orjson.dumps(plain).decode(), KEY,
    )  # fmt: skip
    shown = []
    for line in ("integration show", "keys rotate", "integration show"):
        ended = await configured(line, *([str(one.id), "--json"] if line == "integration show" else []))
        assert ended.code == 0
        if line == "integration show":
            shown.append(ended.json["settings"])
    assert shown[0] == shown[1]
    assert shown[0]["token"] == "pk_4****NTED"
    assert shown[0].keys() == {"token", "workspace_id", "refreshToken", "authentication"}
    for secret in (TOKEN, TOKEN[::-1]):
        assert secret not in configured.printed


def test_what_doctor_says() -> None:
    """A key that is missing is bad; rows of another than the first are a note; both say how to mend it."""
    ring = Keyring([NEW, bytes.fromhex(KEY)])
    assert list(sealing_checks(ring, {})) == list(sealing_checks(ring, {FIRST: 5})) == []
    (note,) = sealing_checks(ring, {FIRST: 5, SECOND: 2, "plain": 1, "pgcrypto": 3})
    assert (note.good, note.mend) == (True, "kb-ingest keys rotate")
    for said in (FIRST, f"2 row(s) of {SECOND}", "1 row(s) of plain", "3 row(s) of pgcrypto"):
        assert said in note.finding
    bad, note = sealing_checks(ring, {"deadbeef": 1, SECOND: 2})
    assert (bad.good, note.good) == (False, True)
    assert ("deadbeef" in bad.finding, "deadbeef" in note.finding) == (True, False)
    assert "keys rotate" in bad.mend


@pytest.mark.usefixtures("one")
async def test_progress_on_a_terminal(database_url: str, tmp_path: Path) -> None:
    """On a terminal a bar tells how far it is, and the report comes on standard output."""
    leader, follower = pty.openpty()
    env = dict(os.environ) | {
        "DATABASE_URL": database_url, "INTEGRATION_ENCRYPTION_KEY": f"{NEW.hex()},{KEY}", "TERM": "xterm",
    }  # fmt: skip
    process = subprocess.Popen(  # noqa: ASYNC220  its terminal is what is looked at
        [sys.executable, "-m", "cli", "keys", "rotate"],
        env=env | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=follower, text=True,
    )  # fmt: skip
    os.close(follower)
    out, _ = await asyncio.to_thread(process.communicate, timeout=60)
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    assert process.returncode == 0
    assert "sealed 2 row(s) anew" in out
    assert "sealing" in shown
    assert "rows" in shown
    assert TOKEN not in out + shown
