"""The search of the knowledge base: what it finds for whom, and that it reads each match once."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import orjson
import pytest

from bench.plans import SETTINGS, Scan, scans
from schema.postgres import sql as statement

ORGS: Final = ("ours", "theirs")
TEXTS: Final = {
    "1": "the grey harbour wakes",
    "2": "the harbour, grey and cold",
    "3": "grey harbours everywhere",
    "4": "nothing of that",
}


async def _connect(sql: Any, org: str) -> UUID:
    id_: UUID = await sql.fetchval(
        "INSERT INTO kb.integrations (name, display_name, enabled, org_id, project_id)"
        " VALUES ('clickup', 'ClickUp', true, $1, gen_random_uuid()) RETURNING id",
        org,
    )
    return id_


async def _write(sql: Any, integration: UUID, texts: dict[str, str]) -> None:
    await sql.executemany(
        "INSERT INTO kb.objects (id, org_id, project_id, integration_id, type, external_source, external_type,"
        " external_id, title, body, content_hash, action, observed_at)"
        " SELECT gen_random_uuid(), org_id, project_id, id, 'task', 'clickup', 'task', $2, 'A title', $3, '\\x00',"
        " 'created', now() FROM kb.integrations WHERE id = $1",
        [(integration, id_, text) for id_, text in texts.items()],
    )


async def _found(sql: Any, wanted: str, *, org: str = "=ours", of: UUID | None = None, most: int = 20) -> list[Any]:
    """In the name of an organisation, by the gallery's own statement and role."""
    async with sql.transaction():
        await sql.execute("SET LOCAL ROLE kb_gallery")
        await sql.execute(statement("tenant"), org, "*")
        return list(await sql.fetch(statement("gallery_search"), wanted, None, of, most))


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ("grey harbour", {"1", "2", "3"}),  # the last word may be a beginning
        ("harb", {"1", "2", "3"}),
        ('"grey harbour"', {"1"}),  # a phrase is as it stands there
        ('"grey harbour" ', {"1"}),
        ('"grey harb', {"1", "3"}),  # not closed yet, so its last word may be a beginning
        ('the "grey harbour"', {"1"}),
        ('"grey harbour" wak', {"1"}),
        ("grey -cold", {"1", "3"}),
        ("elsewhere", set()),
    ],
)
async def test_words_and_phrases(sql: Any, wanted: str, ids: set[str]) -> None:
    """Words in any order, the last perhaps only begun; phrases in quotes; without."""
    await _write(sql, await _connect(sql, "ours"), TEXTS)
    assert {row["external_id"] for row in await _found(sql, wanted)} == ids


async def test_each_tenant_finds_its_own(sql: Any) -> None:
    """An organisation, one integration of it, or everything for who sees everything."""
    ours, ours_too, theirs = [await _connect(sql, org) for org in ("ours", "ours", "theirs")]
    for integration in (ours, ours_too, theirs):
        await _write(sql, integration, TEXTS)

    async def whose(org: str, of: UUID | None = None) -> set[UUID]:
        return {row["integration_id"] for row in await _found(sql, "harbour", org=org, of=of)}

    assert await whose("=ours") == {ours, ours_too}
    assert await whose("=ours", ours) == {ours}
    assert await whose("=ours", theirs) == set()
    assert await whose("=theirs") == {theirs}
    assert await whose("=nobody") == set()
    assert await whose("*") == {ours, ours_too, theirs}
    assert await whose("*", theirs) == {theirs}
    assert await whose("") == set()


@pytest.mark.parametrize("org", ["=ours", "*"])
async def test_what_matches_is_read_once(sql: Any, org: str) -> None:
    """However many integrations the tenant has: not once for each."""
    for number in range(8):
        texts = {f"{number}-{n}": f"grey {'harbour' if n % 20 == 0 else 'hill'} {n}" for n in range(1000)}
        await _write(sql, await _connect(sql, "ours"), texts)
    await sql.execute("VACUUM ANALYZE kb.objects, kb.integrations")
    read = list[Scan]()

    def hear(_connection: Any, message: Any) -> None:
        _, found, plan = str(message.message).partition("plan:\n")
        if found:
            read.extend(scans(orjson.loads(plan)["Plan"]))

    for setting in (*SETTINGS, "SET auto_explain.log_nested_statements = on"):
        await sql.execute(setting)
    sql.add_log_listener(hear)
    await sql.execute(statement("tenant").replace("true)", "false)"), org, "*")
    assert len(await sql.fetch(statement("gallery_search"), '"grey harbour"', None, None, 5)) == 5
    sql.remove_log_listener(hear)
    assert sum(scan.rows for scan in read if scan.what == "Bitmap Heap Scan objects") == 400
    assert sum(scan.rows for scan in read if "integrations" in scan.what) <= 2 * 8
