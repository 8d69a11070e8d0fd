"""The commands as an operator meets them: what they print, how they end, and what they never show.

Most run inside the test through `cli.main.run`; what streams, or runs twice at once, runs as a process.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from cli.settings import load
from schema.migrate import load as migrations
from schema.postgres import Database
from tests.cli.conftest import Commands
from tests.conftest import KEY, SAMPLES, SECRET, WEBHOOK, Connected, named, sample
from tests.source import TEAM
from tests.stack import Stack

TOKEN = "pk_48213377_PLANTEDPLANTEDPLANTED"
ABSENT = "6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10"
CREATE = f"integration create --org acme --project {ABSENT} --workspace {TEAM}"
"""A good beginning: the token is missing."""


@pytest.fixture(scope="module")
async def standing_url(template: str) -> AsyncIterator[str]:
    """A migrated database for all tests of this file that change nothing in it."""
    server, name = os.environ["DATABASE_URL"], f"kb_standing_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(server)
    await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield named(server, name)
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nope", "'nope'"),
        ("integration", "command"),
        ("integration nope", "'nope'"),
        ("migrate --nope", "--nope"),
        ("integration show", "ID"),
        ("integration show 17", "UUID"),
        ("integration create --org acme", "--project"),
        (f"integration create --org acme --workspace 1 --project {ABSENT[:-1]} --token x", "--project"),
        (CREATE, "--token-file"),
        (f"{CREATE} --token x --name jira", "clickup"),
        (f"{CREATE} --token x --webhook-id {WEBHOOK}", "--webhook-secret-file"),
        (f"{CREATE} --token x --token-file -", "token"),
        (f"{CREATE.replace(TEAM, '../../x')} --token x", "workspace_id must be an id"),
        (f"{CREATE.replace(TEAM, 'Acme.Inc')} --token x", "workspace_id must be an id"),
        (f"{CREATE} --token pk_****", "token is masked"),
        (f"{CREATE} --token x --webhook-id h --webhook-secret s --webhook-secret-file -", "secret"),
        (f"{CREATE} --token-file - --webhook-id h --webhook-secret-file -", "standard input"),
        ("consume", "NAME"),
        ("consume nope", "journal, knowledge, sync-state"),
        ("events list --limit 0", "--limit"),
        ("events list --since yesterday", "--since"),
        ("events show 17", "UUID"),
        ("send nope --secret x --endpoint http://127.0.0.1:1", "--list"),
        ("send", "--integration"),
        ("send --times 0", "--times"),
        ("up --rate fast", "--rate"),
    ],
)
async def test_a_wrong_call_ends_with_2(line: str, said: str, kb: Commands) -> None:
    """What cannot be meant is one line that names it, and exit code 2."""
    ended = await kb(line)
    assert said in ended.error
    assert (ended.code, ended.out) == (2, "")


async def test_it_says_its_version(kb: Commands) -> None:
    """Name and version, from anywhere, and exit code 0."""
    ended = await kb("--version")
    assert (ended.code, ended.out, ended.err) == (0, f"kb-ingest {version('kb-ingest')}\n", "")


async def test_no_command_is_answered_with_help(kb: Commands) -> None:
    """`kb-ingest` alone lists the commands, which is not what was meant: exit code 2."""
    ended = await kb("")
    assert (ended.code, ended.err) == (2, "")
    assert "Usage: " in ended.out


@pytest.mark.parametrize(
    ("line", "stdin", "said"),
    [
        (f"integration show {ABSENT}", "", "integration list"),
        (f"integration enable {ABSENT}", "", "integration list"),
        (f"integration disable {ABSENT}", "", "integration list"),
        (f"integration delete {ABSENT} --yes", "", "integration list"),
        (f"integration delete {ABSENT}", "n\n", ""),
        (f"integration delete {ABSENT}", "", "--yes"),
        (f"{CREATE} --token-file absent.txt", "", "absent.txt"),
        (f"{CREATE} --token-file .", "", "the token"),
        (f"{CREATE} --token-file -", " \n", "empty"),
        (f"{CREATE} --token=", "", "empty"),
        (f"events show {ABSENT}", "", "events list"),
        (f"send --integration {ABSENT}", "", "integration list"),
        ("send --secret x --endpoint http://127.0.0.1:1", "", "ingest running"),
        ("send --secret x --endpoint http://127.0.0.1:port", "", "endpoint"),
        ("send --secret x --endpoint 127.0.0.1:80", "", "http://"),
        ("send --secret x --endpoint http://127.0.0.1:1 --file absent.json", "", "absent.json"),
        ("consume journal", "", "AMQP_URL"),
        ("ingest", "", "AMQP_URL"),
    ],
)
async def test_a_failure_ends_with_1(line: str, stdin: str, said: str, kb: Commands, standing_url: str) -> None:
    """What was meant but does not work is one line that says what to do, and exit code 1."""
    kb.configure(DATABASE_URL=standing_url, INTEGRATION_ENCRYPTION_KEY=KEY)
    ended = await kb(line, stdin=stdin)
    assert said in ended.error
    assert ended.code == 1


@pytest.mark.parametrize("line", ["integration list", "migrate"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("", ""), "DATABASE_URL"),
        ((r".*", "postgresql://user:hushhush@127.0.0.1:1/kb"), "DATABASE_URL"),
        ((r"//[^@/]*@", "//kb_nobody:hushhush@"), "DATABASE_URL"),
        ((r"/[^/]*$", "/kb_absent"), "DATABASE_URL"),
        ((r"$", "?role=kb_ingest"), "permission"),
    ],
    ids=["unset", "away", "unknown user", "unknown database", "no rights"],
)
async def test_a_database_that_does_not_serve_is_one_line(
    line: str, change: tuple[str, str], said: str, kb: Commands, standing_url: str
) -> None:
    """Whatever keeps us from the database is said in one line, without its password."""
    kb.configure(DATABASE_URL=re.sub(*change, standing_url, count=1) if change[0] else None)
    ended = await kb(line)
    assert said in ended.error
    assert "hushhush" not in ended.err
    assert ended.code == 1


async def test_migrate_says_what_it_would_do_and_does_it_once(
    kb: Commands, empty_database_url: str, template: str
) -> None:
    """Without schema every command says `migrate`; `--dry-run` changes nothing; a second run finds nothing left."""
    assert template  # the server's roles are made
    kb.configure(DATABASE_URL=empty_database_url)
    missing = [f"{one.version:04} {one.name}" for one in migrations()]
    for _ in range(2):
        assert (await kb("migrate --dry-run")).out.splitlines() == [f"would apply {one}" for one in missing]
        assert "kb-ingest migrate" in (await kb("integration list")).error
    assert (await kb("migrate")).out.splitlines() == [f"applied {one}" for one in missing]
    for line in ("migrate", "migrate --dry-run"):
        assert (await kb(line)).out == "the schema is up to date\n"


async def test_migrate_twice_at_once(tmp_path: Path, amqp_url: str, empty_database_url: str) -> None:
    """Two processes at the same moment both succeed, and each migration is applied by one of them."""
    stack = Stack(tmp_path, amqp_url=amqp_url, database_url=empty_database_url, clickup_url="http://127.0.0.1:1")
    printed = "".join(await asyncio.gather(stack.run("migrate"), stack.run("migrate"))).splitlines()
    applied = [line for line in printed if line.startswith("applied")]
    assert applied == [f"applied {one.version:04} {one.name}" for one in migrations()]


async def test_an_integration_from_its_creation_to_its_end(
    configured: Commands, sql: Any, tmp_path: Path, amqp_url: str, database_url: str
) -> None:
    """Create, list, show, switch and delete; its secrets are sealed in the database and masked in all that is printed.

    With the key away or another one, it is one line; a second one of the project is refused.
    """
    stack = Stack(tmp_path, amqp_url=amqp_url, database_url=database_url, clickup_url="http://127.0.0.1:1")
    create = [*CREATE.split(), "--name", "clickup", "--webhook-id", WEBHOOK, "--enable"]
    made = await stack.json(*create, "--token", TOKEN, "--webhook-secret", SECRET)
    kb, id_ = configured, made["id"]
    kb.printed = str(made)
    masked = {"token": f"{TOKEN[:4]}****{TOKEN[-4:]}", "workspace_id": TEAM}
    facts = {"name": "clickup", "org_id": "acme", "project_id": ABSENT, "enabled": True}
    assert made.items() >= facts.items()
    assert made["settings"] == masked
    (listed,) = (await kb("integration list --json")).json
    shown = (await kb(f"integration show {id_} --json")).json
    assert listed.items() >= (facts | {"id": id_, "import_status": "idle"}).items()
    assert shown.items() >= (listed | {"settings": masked}).items()
    for word, enabled in (("disable", False), ("enable", True), ("enable", True)):
        assert (await kb(f"integration {word} {id_}")).out == f"{word}d {id_}\n"
        assert (await kb(f"integration show {id_} --json")).json["enabled"] is enabled
    assert masked["token"] in (await kb(f"integration show {id_}")).out
    assert "already" in (await kb(f"{CREATE} --token {TOKEN}")).error
    kb.configure(INTEGRATION_ENCRYPTION_KEY=KEY[::-1])
    assert "INTEGRATION_ENCRYPTION_KEY" in (await kb(f"integration show {id_}")).error
    kb.configure(INTEGRATION_ENCRYPTION_KEY=None)
    assert "keys generate" in (await kb(f"{CREATE} --token {TOKEN}")).error
    rows = [*await sql.fetch("SELECT * FROM kb.integrations"), *await sql.fetch("SELECT * FROM kb.webhook_secrets")]
    for secret in (TOKEN, SECRET):
        assert secret not in kb.printed
        assert not [row for row in rows if secret in str(list(row)) or secret.encode().hex() in str(row)]
    assert (await kb(f"integration delete {id_} --yes")).code == 0
    assert (await kb("integration list --json")).json == []
    audit = await sql.fetch("SELECT action, org_id, integration_id::text FROM kb.audit_log ORDER BY id")
    assert [row["action"] for row in audit] == ["integration_create", *["integration_change"] * 3, "integration_delete"]
    assert {(row["org_id"], row["integration_id"]) for row in audit} == {("acme", id_)}


@pytest.mark.parametrize("given", ["files", "standard input"])
async def test_secrets_need_not_stand_on_the_command_line(given: str, configured: Commands, tmp_path: Path) -> None:
    """A token and a webhook's secret come from files or standard input, and are used without the line's end."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "secret").write_text(f"{SECRET}\r\n")
    token = "-" if given == "standard input" else "token"
    line = f"{CREATE} --token-file {token} --webhook-id {WEBHOOK} --webhook-secret-file secret --json"
    made = (await configured(line, stdin=f"{TOKEN}\n")).json
    assert made["settings"]["token"] == f"{TOKEN[:4]}****{TOKEN[-4:]}"


async def journaled(database: Database, connected: Connected, *types: str) -> list[str]:
    """Journal one delivery of each type, a minute apart; their ids."""
    ids, start = [uuid4() for _ in types], datetime(2026, 3, 15, 10, tzinfo=UTC)
    times = [start + timedelta(minutes=minute) for minute in range(len(types))]
    same = ([connected.id] * len(types), list(types), ["task/1"] * len(types), [None] * len(types))
    bodies = [sample("task-created")] * len(types)
    await database.execute("journal_append", times, ids, *same, [{"a": "b"}] * len(types), bodies)
    return [str(id_) for id_ in ids]


async def test_events_are_listed_and_shown(configured: Commands, database: Database, connected: Connected) -> None:
    """Newest first, by type, integration, time and number; one event with its headers and, if asked, its bytes."""
    kb = configured
    assert (await kb("events list --json")).json == []
    types = ("clickup.task.created", "clickup.task.updated", "clickup.list.created")
    first, second, third = await journaled(database, connected, *types)
    for options, expected in (
        ("", [third, second, first]),
        ("--limit 1", [third]),
        ("--type clickup.task", [second, first]),
        (f"--integration {connected.id}", [third, second, first]),
        (f"--integration {ABSENT}", []),
        ("--since 2026-03-15T10:01:00 --until 2026-03-15T10:02:00", [second]),
    ):
        assert [event["event_id"] for event in (await kb(f"events list {options} --json")).json] == expected
    (event,) = (await kb(f"events show {first} --json")).json
    assert event.items() >= {"type": types[0], "received_at": "2026-03-15T10:00:00Z", "headers": {"a": "b"}}.items()
    assert "payload" not in event
    (event,) = (await kb(f"events show {first} --payload --json")).json
    assert event["payload"].encode() == sample("task-created")
    assert first in (await kb(f"events show {first}")).out


@pytest.mark.parametrize("line", ["integration list", "events list"])
async def test_ids_in_a_table_can_be_copied(
    line: str, configured: Commands, database: Database, connected: Connected
) -> None:
    """An id stands whole on a line, for `show` to be given it, also where the output is no wide terminal."""
    ids = [str(connected.id), *await journaled(database, connected, "clickup.task.time_tracked_updated")]
    assert ids[line == "events list"] in (await configured(line)).out


async def test_send_lists_its_samples(kb: Commands) -> None:
    """`send --list` names every sample there is."""
    names = sorted(path.stem for path in SAMPLES.glob("*.json"))
    assert (await kb("send --list")).out.split() == (await kb("send --list --json")).json == names


async def test_a_generated_key_is_a_good_one(kb: Commands) -> None:
    """`keys generate` prints one line that INTEGRATION_ENCRYPTION_KEY accepts, another one each time."""
    printed = [(await kb("keys generate")).out for _ in range(2)]
    kb.configure(INTEGRATION_ENCRYPTION_KEY=",".join(printed))
    assert len(set(load().keyring().keys)) == 2
    assert [text.count("\n") for text in printed] == [1, 1]
