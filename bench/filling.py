"""Tables of any size, filled in bulk by the server itself: objects with their edges, claims, and the delivery log.

Indexes and keys are dropped for the fill and made again from the server's own definitions; nothing else differs from
what the programs would have written.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg
from rich.progress import Progress

INTEGRATIONS: Final = 10
ORG: Final = "bench"
BLOCK: Final = 100
"""Objects of one list, itself included: 79 tasks, and 20 comments on every fifth of them."""
KEPT_DAYS: Final = 30
CHUNK: Final = 100_000
WORKERS: Final = 2
OBJECT_OCTETS: Final = 2_200
"""Of disk for an object with its edge and all indexes, WAL aside, generously."""
EVENT_OCTETS: Final = 1_700
POOL: Final = 65_536
VOCABULARY: Final = 20_000
PREPARE: Final = f"""
    CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
    INSERT INTO kb.integrations (id, name, display_name, enabled, org_id, project_id)
    SELECT public.uuid_generate_v5(public.uuid_nil(), g::text), 'clickup', 'ClickUp ' || g, true, '{ORG}',
        gen_random_uuid()
    FROM generate_series(0, {INTEGRATIONS - 1}) AS g;
    INSERT INTO kb.clickup_sync_state (integration_id) SELECT id FROM kb.integrations;
    CREATE TABLE public.pool AS
    SELECT p AS at, string_agg(translate((floor(exp(random() * ln({VOCABULARY}))) + 9)::int::text,
                                         '0123456789', 'etaoinshrd'), ' ') AS words
    FROM generate_series(0, {POOL - 1}) AS p CROSS JOIN generate_series(1, 20) AS w GROUP BY p;
    ANALYZE public.pool"""  # noqa: S608  numbers of ours
"""Words come as often as Zipf says: the one of rank r in some 4/r of all bodies."""
OBJECTS: Final = f"""
    WITH made AS (
        INSERT INTO kb.objects (id, org_id, project_id, integration_id, type, external_source, external_type,
            external_id, external_url, external_parent_type, external_parent_id, external_updated_at, title, body,
            status, properties, content_hash, action, observed_at, caused_by, synced_at)
        SELECT public.uuid_generate_v5(i.id, kind || '/' || n), i.org_id, i.project_id, i.id,
            CASE kind WHEN 'list' THEN 'collection' ELSE kind END, 'clickup', kind, n::text,
            'https://app.clickup.com/t/' || n,
            CASE kind WHEN 'task' THEN 'list' WHEN 'comment' THEN 'task' ELSE 'space' END,
            CASE kind WHEN 'task' THEN n - n % {BLOCK} WHEN 'comment' THEN n - 1 ELSE 0 END::text,
            now() - interval '1 day', split_part(a.words, ' ', 1) || ' ' || split_part(b.words, ' ', 2) || ' ' || n,
            a.words || ' ' || b.words, 'open', jsonb_build_object('list_id', (n - n % {BLOCK})::text,
                'space_id', '0', 'time_estimate', n, 'creator_id', '1'),
            decode(md5(n::text), 'hex'), 'created', now() - interval '1 day', gen_random_uuid(),
            now() - interval '1 day' + n * interval '1 ms'
        FROM generate_series($1::bigint, $2::bigint) AS n
        CROSS JOIN LATERAL (SELECT CASE WHEN n % {BLOCK} = 0 THEN 'list' WHEN n % 5 = 4 THEN 'comment' ELSE 'task' END
                            AS kind) AS k
        JOIN kb.integrations i ON i.display_name = 'ClickUp ' || n / {BLOCK} % {INTEGRATIONS}
        JOIN public.pool a ON a.at = (n * 7919) % {POOL}
        JOIN public.pool b ON b.at = (n * 104729 + n / {POOL}) % {POOL}
        RETURNING id, integration_id, external_type, external_parent_type, external_parent_id
    )
    INSERT INTO kb.relationships (src_id, dst_id, type, asserted_by)
    SELECT id, public.uuid_generate_v5(integration_id, external_parent_type || '/' || external_parent_id),
        CASE external_type WHEN 'comment' THEN 'comment_on' ELSE 'in_list' END, id
    FROM made WHERE external_type <> 'list'"""  # noqa: S608  numbers of ours
CLAIMS: Final = """
    INSERT INTO kb.inbox (consumer, event_id, claimed_at)
    SELECT 'knowledge', gen_random_uuid(), now() - $3::interval
    FROM generate_series($1::bigint, $2::bigint) AS n"""
EVENTS: Final = f"""
    WITH made AS (
        INSERT INTO kb.journal (received_at, event_id, integration_id, type, subject, headers, body)
        SELECT now() - (n - 0.5) * interval '{KEPT_DAYS - 1} days' / $3::bigint, gen_random_uuid(), i.id,
            CASE WHEN n % 100000 = 99 THEN 'clickup.goal.deleted' WHEN n % 50 = 7 THEN 'clickup.list.updated'
                 ELSE 'clickup.task.updated' END,
            CASE WHEN n % 50 = 7 THEN 'list/' ELSE 'task/' END || (n * 7919) % ($3::bigint / 25 + 1), '{{}}',
            convert_to(repeat('x', 600), 'UTF8')
        FROM generate_series($1::bigint, $2::bigint) AS n
        JOIN kb.integrations i ON i.display_name = 'ClickUp ' || CASE WHEN n % 20000 = 3 THEN 9 WHEN n % 2 = 0 THEN 0
                                                                      ELSE n % 8 + 1 END
        RETURNING event_id, integration_id, received_at, subject
    ), failed AS (
        INSERT INTO kb.event_failures (event_id, integration_id, reason, received_from, received_to)
        SELECT event_id, integration_id, 'The source said no.', received_at, received_at FROM made
        WHERE get_byte(uuid_send(event_id), 15) = 7 AND get_byte(uuid_send(event_id), 14) < 4
    )
    INSERT INTO kb.inbox (consumer, event_id, claimed_at)
    SELECT 'knowledge', event_id, received_at + interval '50 ms' FROM made
    WHERE NOT (get_byte(uuid_send(event_id), 15) = 7 AND get_byte(uuid_send(event_id), 14) < 4)"""  # noqa: S608
"""Evenly over the days that are kept; half of one integration, one of 20,000 of the least; one of 16,384 failed."""
DEFINITIONS: Final = """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS make,
        CASE contype WHEN 'f' THEN 0 ELSE 1 END AS rank
    FROM pg_constraint WHERE contype IN ('f', 'p', 'u') AND conparentid = 0
      AND (conrelid = ANY($1::regclass[]) OR confrelid = ANY($1::regclass[]))
    UNION ALL
    SELECT format('DROP INDEX %s', indexrelid::regclass), replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON '), 2
    FROM pg_index WHERE indrelid = ANY($1::regclass[])
      AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = indexrelid AND c.contype IN ('p', 'u'))
    ORDER BY rank, 1"""


def ids() -> list[UUID]:
    """Of the integrations, as `PREPARE` makes them."""
    return [uuid5(UUID(int=0), str(number)) for number in range(INTEGRATIONS)]


def fits(octets: int, folder: str = "/var/tmp") -> bool:  # noqa: S108  only its disk is looked at
    """Whether so much fits on the disk, with as much again left for sorting and WAL."""
    return shutil.disk_usage(folder).free > 1.5 * octets + 8e9


@asynccontextmanager
async def bare(connection: Any, tables: Sequence[str]) -> AsyncIterator[None]:
    """These tables without keys and indexes; they have them again when the block ends, and statistics."""
    found = await connection.fetch(DEFINITIONS, list(tables))
    for row in found:
        await connection.execute(row["drop"])
    yield
    await connection.execute("SET maintenance_work_mem = '2GB'")
    for row in reversed(found):
        await connection.execute(row["make"])
    await connection.execute("VACUUM ANALYZE " + ", ".join(tables))


async def fill(url: str, statement: str, first: int, last: int, *more: object, what: str) -> None:
    """Run it for all numbers from `first` to `last`, in chunks on some connections."""
    chunks = [(at, min(at + CHUNK - 1, last)) for at in range(first, last + 1, CHUNK)]
    with Progress(transient=True) as progress:
        bar = progress.add_task(what, total=last - first + 1)

        async def work() -> None:
            connection = await asyncpg.connect(url)
            try:
                while chunks:
                    low, high = chunks.pop(0)
                    await connection.execute(statement, low, high, *more)
                    progress.advance(bar, high - low + 1)
            finally:
                await connection.close()

        await asyncio.gather(*(work() for _ in range(WORKERS)))
