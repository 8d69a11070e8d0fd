"""What a statement reads does not grow with its table, even where nothing was ever analyzed.

A server has no statistics after an installation, a restore or an upgrade, until autovacuum comes around.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import pytest

from bench.plans import scans
from schema.postgres import Database
from schema.postgres import sql as statement

ROWS: Final = 10_000
ASKED: Final = 10
MOST: Final = 50 * ASKED
"""Rows and index entries that a statement may read: some for each of those it was asked for."""
QUEUE: Final = "kb.knowledge"
FILL: Final = f"""
    ALTER TABLE kb.objects SET (autovacuum_enabled = off);
    ALTER TABLE kb.inbox SET (autovacuum_enabled = off);
    ALTER TABLE kb.outbox SET (autovacuum_enabled = off);
    ALTER TABLE kb.queue_messages SET (autovacuum_enabled = off);
    ALTER TABLE kb.missed_changes SET (autovacuum_enabled = off);
    ALTER TABLE kb.event_failures SET (autovacuum_enabled = off);
    ALTER TABLE kb.relationships SET (autovacuum_enabled = off);
    ALTER TABLE kb.journal_default SET (autovacuum_enabled = off);
    INSERT INTO kb.integrations (name, display_name, enabled, org_id, project_id)
    VALUES ('clickup', 'ClickUp', true, 'o', gen_random_uuid());
    INSERT INTO kb.objects (id, org_id, project_id, integration_id, type, external_source, external_type, external_id,
        external_parent_type, external_parent_id, title, body, content_hash, action, observed_at)
    SELECT gen_random_uuid(), org_id, project_id, id, 'task', 'clickup', 'task', lpad(n::text, 8, '0'), 'task',
        lpad((n / 50)::text, 8, '0'), 'A title', repeat('x', 500), '\\x00', 'created', now()
    FROM kb.integrations, generate_series(1, {ROWS}) AS n;
    INSERT INTO kb.relationships (src_id, dst_id, type, asserted_by)
    SELECT id, gen_random_uuid(), 'in_list', id FROM kb.objects;
    INSERT INTO kb.inbox (consumer, event_id) SELECT 'knowledge', id FROM kb.objects;
    INSERT INTO kb.outbox (headers, body) SELECT '{{}}', '\\x00' FROM kb.objects;
    INSERT INTO kb.event_failures (event_id, integration_id, reason) SELECT id, integration_id, 'No.' FROM kb.objects;
    INSERT INTO kb.missed_changes (object_id, version, integration_id, external_type, external_id, action)
    SELECT id, 1, integration_id, external_type, external_id, 'updated' FROM kb.objects;
    INSERT INTO kb.queues (name) VALUES ('{QUEUE}');
    INSERT INTO kb.queue_messages (queue, headers, body) SELECT '{QUEUE}', '{{}}', '\\x00' FROM kb.objects;
    INSERT INTO kb.journal (received_at, event_id, integration_id, type, subject, headers, body)
    SELECT now() - interval '2 days' - n * interval '1 s', o.id, o.integration_id, 'clickup.task.updated',
        'task/' || o.external_id, '{{}}', '\\x00'
    FROM (SELECT *, row_number() OVER () AS n FROM kb.objects) AS o
"""  # noqa: S608  numbers of ours

Arguments = Callable[[list[UUID], list[str], UUID], tuple[object, ...]]
"""Of a statement, from ids of objects, their external ids, and their integration."""
NOW: Final = datetime.now(UTC)
STATEMENTS: Final[dict[str, Arguments]] = {
    "claimed": lambda ids, _names, _one: ("knowledge", ids),
    "claims_drop": lambda ids, _names, _one: ("knowledge", ids),
    "event_mended": lambda ids, _names, _one: (ids,),
    "journal_show": lambda ids, _names, _one: (ids[0],),
    "missed_arrived": lambda ids, _names, one: (one, ids, [NOW] * len(ids)),
    "object_amendable": lambda ids, _names, _one: (ids,),
    "object_cascade": lambda ids, _names, _one: ([], ids),
    "object_contents": lambda ids, _names, _one: (ids,),
    "object_living": lambda _ids, names, one: (one, "task", names[0], ASKED, [], []),
    "object_provisional": lambda ids, _names, _one: (ids,),
    "object_revive": lambda ids, _names, _one: (ids[:1],),
    "object_standing": lambda _ids, names, one: (one, ["task"] * len(names), names),
    "object_unknown": lambda _ids, names, one: (one, ["task"] * len(names), names),
    "object_unlisted": lambda ids, _names, one: (one, ["task"] * 2, ["00000007", "00000008"], ["task"] * 2, ids, NOW),
    "outbox_remove": lambda _ids, _names, _one: (list(range(100, 100 + ASKED)),),
    "outbox_take": lambda _ids, _names, _one: (ASKED, 100),
    "queue_ack": lambda _ids, _names, _one: (uuid4(), list(range(100, 100 + ASKED))),
    "queue_release": lambda _ids, _names, _one: (uuid4(), list(range(100, 100 + ASKED))),
    "queue_take": lambda _ids, _names, _one: (QUEUE, uuid4(), ASKED, 30.0),
    "gallery_event_rows": lambda ids, _names, _one: (ids[0],),
    "why_event": lambda ids, _names, _one: (ids[0],),
    "why_heard": lambda _ids, names, one: (one, f"task/{names[0]}", ASKED),
    "why_object": lambda ids, names, one: (["task"], names[0], ids[1], one),
    "relationship_replace": lambda ids, _names, _one: (ids * 10, _dependencies(ids)),
}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_what_is_read_does_not_grow(sql: Any, mode: str) -> None:
    """Of tables nobody analyzed, every statement of a delivery's way reads what it was asked for, no more."""
    await sql.execute(FILL)
    rows = await sql.fetch("SELECT id, external_id, integration_id FROM kb.objects ORDER BY id LIMIT $1", ASKED)
    ids, names, one = [row["id"] for row in rows], [row["external_id"] for row in rows], rows[0]["integration_id"]
    read = {name: await _read(sql, name, mode, ask(ids, names, one)) for name, ask in STATEMENTS.items()}
    assert {name: found for name, found in read.items() if found[0] > MOST} == {}


async def test_counting_reads_no_rows(sql: Any) -> None:
    """Objects are counted by type from indexes, tombstones too: bodies are not read."""
    await sql.execute(FILL)
    await sql.execute(
        "UPDATE kb.objects SET deleted_at = now(), deleted_because = 'gone' WHERE external_id < '00000021'"
    )
    await sql.execute("VACUUM ANALYZE kb.objects")
    counted = await sql.fetch(statement("overview_objects"))
    assert [tuple(row) for row in counted] == [("task", ROWS - 20, 20)]
    plan = await sql.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement('overview_objects')}")
    pages = sum(scan.pages for scan in scans(orjson.loads(plan)[0]["Plan"]))
    assert pages < await sql.fetchval("SELECT relpages FROM pg_class WHERE oid = 'kb.objects'::regclass") / 4


async def test_nothing_is_compiled(database: Database) -> None:
    """A plan whose cost is overestimated is not compiled, which would take longer than to run it."""
    async with database.statement() as connection:
        assert await connection._connection.fetchval("SHOW jit") == "off"


async def _read(sql: Any, name: str, mode: str, arguments: tuple[object, ...]) -> tuple[int, list[str]]:
    """How many rows it reads, and where; what it changes is undone."""
    transaction = sql.transaction()
    await transaction.start()
    try:
        await sql.execute(f"SET LOCAL plan_cache_mode = {mode}")
        written = ", ".join([await sql.fetchval("SELECT quote_literal($1::text)", _text(one)) for one in arguments])
        await sql.execute(f"PREPARE asked AS {statement(name)}")
        plan = await sql.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({written})")
        await sql.execute("DEALLOCATE asked")
    finally:
        await transaction.rollback()
    found = list(scans(orjson.loads(plan)[0]["Plan"]))
    return sum(scan.rows for scan in found), [scan.what for scan in found]


def _dependencies(ids: list[UUID]) -> str:
    """Each is stated by what it leads to."""
    edges = [{"src_id": ids[0], "dst_id": id_, "type": "depends_on", "asserted_by": id_} for id_ in ids[1:]]
    return orjson.dumps(edges, default=str).decode()


def _text(one: object) -> str:
    """As PostgreSQL reads it."""
    if isinstance(one, list):
        return "{" + ",".join(f'"{item}"' for item in one) + "}"
    return str(one)
