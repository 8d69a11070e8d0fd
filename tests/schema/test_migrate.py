"""Migrations: forward only, safe twice and at once, and exactly the tables that were promised."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from schema.errors import DatabaseUnavailable, SchemaError
from schema.migrate import Migration, load, migrate, pending
from schema.postgres import Database
from tests.conftest import Connected, named, until

INTEGRATIONS = {
    "id": ("uuid", "NO", "gen_random_uuid()"),
    "name": ("character varying", "NO", None),
    "display_name": ("character varying", "NO", None),
    "description": ("text", "YES", None),
    "enabled": ("boolean", "NO", "false"),
    "org_id": ("text", "NO", None),
    "project_id": ("uuid", "NO", None),
    "settings_encrypted": ("bytea", "YES", None),
    "logo_url": ("text", "YES", None),
    "webhook_secret": ("text", "YES", None),
    "created_at": ("timestamp with time zone", "NO", "now()"),
    "updated_at": ("timestamp with time zone", "NO", "now()"),
    "created_by": ("text", "YES", None),
}
SYNC_STATE = {
    "id": ("uuid", "NO", "gen_random_uuid()"),
    "integration_id": ("uuid", "NO", None),
    **{
        f"last_{kind}_at": ("timestamp with time zone", "YES", None)
        for kind in ("full_import", "workspace_sync", "space_sync", "folder_sync", "list_sync", "task_sync")
    },
    "sync_cursor": ("text", "YES", None),
    "workspace_cursor": ("jsonb", "YES", None),
    "active_import_job_id": ("uuid", "YES", None),
    "import_status": ("character varying", "NO", "'idle'::character varying"),
    **{
        f"total_{what}": ("integer", "NO", "0")
        for what in ("imported_objects", "synced_tasks", "synced_lists", "synced_spaces")
    },
    "last_error": ("text", "YES", None),
    "last_error_at": ("timestamp with time zone", "YES", None),
    "consecutive_failures": ("integer", "NO", "0"),
    "created_at": ("timestamp with time zone", "NO", "now()"),
    "updated_at": ("timestamp with time zone", "NO", "now()"),
}


async def test_twice_is_nothing(empty_database_url: str) -> None:
    """The second run finds nothing to do; a dry run changes nothing."""
    everything = load()
    assert await migrate(empty_database_url, dry_run=True) == everything
    assert await migrate(empty_database_url, dry_run=True) == everything
    assert await migrate(empty_database_url) == everything
    assert await migrate(empty_database_url) == []
    assert await pending(empty_database_url) == []


async def test_several_at_once_apply_each_migration_once(empty_database_url: str) -> None:
    """Five processes that start together, as a deployment does."""
    done = await asyncio.gather(*(migrate(empty_database_url) for _ in range(5)))
    assert sorted(map(len, done)) == [0, 0, 0, 0, len(load())]


async def test_an_edited_migration_is_an_error(empty_database_url: str) -> None:
    """History that no longer matches is said, never passed over."""
    await migrate(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("UPDATE kb.migrations SET checksum = 'x' WHERE version = 2")
    await connection.close()
    with pytest.raises(SchemaError, match=r"0002.*changed after it was applied"):
        await migrate(empty_database_url)


async def test_a_failing_migration_leaves_the_ones_before_it(empty_database_url: str, monkeypatch: Any) -> None:
    """Each is a transaction of its own: what failed left no trace and is tried again next time."""
    broken = Migration(version=99, name="broken", text="CREATE TABLE kb.half (id int); SELECT 1 / 0")
    monkeypatch.setattr("schema.migrate.load", lambda: [*load(), broken])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database_url)
    monkeypatch.undo()
    assert await pending(empty_database_url) == []
    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetchval("SELECT to_regclass('kb.half')") is None
    await connection.close()


def test_two_migrations_with_one_number_are_refused(tmp_path: Path) -> None:
    """A merge of two branches that took the same number is noticed."""
    for name in ("0001_a", "0001_b"):
        (tmp_path / f"{name}.sql").write_text("SELECT 1")
    with pytest.raises(SchemaError, match="same number"):
        load(tmp_path)


async def test_no_server_is_unavailable() -> None:
    """Within the deadline, and by its name."""
    with pytest.raises(DatabaseUnavailable):
        await migrate("postgresql://nobody@127.0.0.1:1/none")


async def test_without_the_schema_the_mend_is_named(empty_database_url: str) -> None:
    """A program against an empty database says which command is missing."""
    database = await Database(empty_database_url, program="test").open()
    with pytest.raises(SchemaError, match="kb-ingest migrate"):
        await database.fetch("webhook_secrets", [])
    await database.close()


SEED = [("integrations", INTEGRATIONS), ("clickup_sync_state", SYNC_STATE)]


@pytest.mark.parametrize(("table", "columns"), SEED, ids=["integrations", "clickup_sync_state"])
async def test_the_two_seed_tables_are_exact(sql: Any, table: str, columns: dict[str, Any]) -> None:
    """Columns, types, nullability and defaults, each with a comment."""
    rows = await sql.fetch(
        "SELECT column_name, data_type, is_nullable, column_default,"
        " col_description(('kb.' || table_name)::regclass, ordinal_position) AS comment"
        " FROM information_schema.columns WHERE table_schema = 'kb' AND table_name = $1",
        table,
    )
    found = {row["column_name"]: (row["data_type"], row["is_nullable"], row["column_default"]) for row in rows}
    assert found == columns
    assert all(row["comment"] for row in rows)


async def test_constraints_indexes_and_triggers(sql: Any, connected: Connected) -> None:
    """One provider a project, the four statuses, cascade, indexes, and updated_at by trigger on both tables."""
    indexed = {
        (row["tablename"], row["indexdef"].split("(")[-1].rstrip(")"))
        for row in await sql.fetch("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'kb'")
    }
    assert indexed >= {
        *(("integrations", column) for column in ("name, project_id", "project_id", "org_id", "enabled", "name")),
        *(("clickup_sync_state", column) for column in ("integration_id", "import_status")),
    }
    with pytest.raises(asyncpg.UniqueViolationError):
        await sql.execute(
            "INSERT INTO kb.integrations (name, display_name, org_id, project_id) VALUES ('clickup', 'x', 'o', $1)",
            connected.project_id,
        )
    with pytest.raises(asyncpg.CheckViolationError):
        await sql.execute("UPDATE kb.clickup_sync_state SET import_status = 'lost'")
    for touch in (
        "UPDATE kb.integrations SET description = 'x' RETURNING updated_at > created_at",
        "UPDATE kb.clickup_sync_state SET last_error = 'x' RETURNING updated_at > created_at",
    ):
        assert await sql.fetchval(touch)
    await sql.execute("DELETE FROM kb.integrations")
    assert await sql.fetchval("SELECT count(*) FROM kb.clickup_sync_state") == 0


TELLING = {
    "UPDATE kb.integrations SET enabled = NOT enabled": ["first"],
    "UPDATE kb.integrations SET settings_encrypted = NULL, display_name = 'x'": [],
    "UPDATE kb.integrations SET enabled = false WHERE name = 'nobody'": [],
    "DELETE FROM kb.webhook_secrets WHERE expires_at < now()": [],
    "UPDATE kb.webhook_secrets SET expires_at = now()": ["first"],
    "INSERT INTO kb.webhook_secrets (integration_id, webhook_id, secret_sealed)"
    " SELECT id, 'w', '' FROM kb.integrations, generate_series(1, 3)": ["first"],
    "DELETE FROM kb.webhook_secrets": ["first"],
    "INSERT INTO kb.integrations (name, display_name, org_id, project_id)"
    " VALUES ('clickup', 'x', 'o', gen_random_uuid())": ["new"],
    "DELETE FROM kb.integrations": ["first"],
}


@pytest.mark.parametrize("statement", TELLING)
async def test_whoever_listens_is_told_which_integration_changed(
    sql: Any, database_url: str, connected: Connected, statement: str
) -> None:
    """Once a statement each, also when its secrets go with it; and nothing where nothing of it changed."""
    listener, told = await asyncpg.connect(database_url), list[str]()
    await listener.add_listener("kb_integrations", lambda _c, _p, _ch, payload: told.append(payload))
    await sql.execute(statement)
    await sql.execute("NOTIFY kb_integrations, 'the end'")
    await until(lambda: "the end" in told)
    assert told[:-1] == [
        str(connected.id if one == "first" else await sql.fetchval("SELECT id FROM kb.integrations WHERE org_id = 'o'"))
        for one in TELLING[statement]
    ]
    await listener.close()


async def test_pgcrypto_where_the_server_has_it(sql: Any) -> None:
    """Enabled if available; the program does not need it."""
    available = await sql.fetchval("SELECT count(*) FROM pg_available_extensions WHERE name = 'pgcrypto'")
    assert await sql.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'pgcrypto'") == available


async def test_full_text_search_is_indexed(sql: Any) -> None:
    """Over title and body, by an index."""
    await sql.execute("SET enable_seqscan = off")
    plan = await sql.fetch("EXPLAIN SELECT id FROM kb.objects WHERE search @@ plainto_tsquery('simple', 'word')")
    assert any("objects_search_idx" in row[0] for row in plan)


FORBIDDEN = [
    ("kb_ingest", "SELECT settings_encrypted FROM kb.integrations"),
    ("kb_ingest", "SELECT * FROM kb.objects"),
    ("kb_ingest", "UPDATE kb.integrations SET enabled = true"),
    ("kb_knowledge", "SELECT * FROM kb.webhook_secrets"),
    ("kb_knowledge", "DELETE FROM kb.objects"),
    ("kb_knowledge", "UPDATE kb.clickup_sync_state SET total_synced_tasks = 0"),
    ("kb_sync_state", "SELECT * FROM kb.integrations"),
    ("kb_sync_state", "SELECT * FROM kb.objects"),
    ("kb_journal", "DELETE FROM kb.journal"),
    ("kb_journal", "SELECT settings_encrypted FROM kb.integrations"),
    ("kb_journal", "DROP TABLE kb.journal"),
    ("kb_admin", "UPDATE kb.objects SET title = ''"),
    ("kb_admin", "DELETE FROM kb.journal"),
]


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN)
async def test_each_program_can_reach_only_what_it_needs(sql: Any, role: str, statement: str) -> None:
    """The role of one program refused what belongs to another."""
    await sql.execute(f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await sql.execute(statement)


async def test_a_user_who_may_not_create_roles_can_migrate(empty_database_url: str) -> None:
    """On a managed server: everything but the roles, and programs run as who they are."""
    admin = await asyncpg.connect(empty_database_url)
    database = empty_database_url.rpartition("/")[2]
    await admin.execute(f"CREATE ROLE plain_{database} LOGIN")
    await admin.execute(f'ALTER DATABASE "{database}" OWNER TO plain_{database}')
    url = named(empty_database_url, database).replace("postgres@", f"plain_{database}@", 1)
    try:
        await migrate(url)
        program = await Database(url, program="test", role="kb_journal").open()
        assert await program.fetch("webhook_secrets", []) == []
        await program.close()
    finally:
        await admin.execute(f'ALTER DATABASE "{database}" OWNER TO postgres')
        await admin.execute(f"REASSIGN OWNED BY plain_{database} TO postgres")
        await admin.execute(f"DROP OWNED BY plain_{database}")
        await admin.execute(f"DROP ROLE plain_{database}")
        await admin.close()


async def test_journal_partitions_come_and_go(database: Database, sql: Any) -> None:
    """A week ahead, the old ones dropped, and nothing lost that falls outside."""
    kept = await Database(database._url, program="test", role="kb_journal").open()
    row = await kept.fetchrow("journal_keep_ahead", 10)
    assert row is not None
    assert row["made"] == 3
    await sql.execute(
        "CREATE TABLE kb.journal_20200101 PARTITION OF kb.journal FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')"
    )
    insert = (
        "INSERT INTO kb.journal (received_at, event_id, integration_id, type, headers, body)"
        " VALUES ($1::text::timestamptz, gen_random_uuid(), gen_random_uuid(), 't', '{}', '')"
    )
    for when in ("2020-01-01T12:00Z", "2019-06-01T00:00Z", "2999-01-01T00:00Z"):
        await sql.execute(insert, when)
    dropped = await kept.fetchrow("journal_forget", 30)
    assert dropped is not None
    assert dropped["dropped"] == 1
    assert await sql.fetchval("SELECT count(*) FROM kb.journal") == 1
    await kept.close()
