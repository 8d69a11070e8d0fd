"""What each role may do in a migrated database is what the threat model says: its table is this one."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[2] / "docs/threat-model.md"
ROLES = ("ingest", "knowledge", "sync_state", "journal", "imports", "upkeep", "gallery", "admin")
ORDER = {"SELECT": "R", "INSERT": "I", "UPDATE": "U", "DELETE": "D", "TRUNCATE": "T", "REFERENCES": "F", "TRIGGER": "G"}
GRANTED = """
SELECT n.nspname || '.' || c.relname AS name, r.rolname AS role, a.privilege_type AS what, true AS whole
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE n.nspname IN ('kb', 'kb_shadow') AND a.grantee <> c.relowner AND c.relkind IN ('r', 'p', 'v')
UNION
SELECT n.nspname || '.' || c.relname, r.rolname, x.privilege_type, false
FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
    aclexplode(t.attacl) x LEFT JOIN pg_roles r ON r.oid = x.grantee
WHERE n.nspname IN ('kb', 'kb_shadow')
"""
EXECUTABLE = """
SELECT 'kb.' || p.proname || '()' AS name, r.rolname AS role
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, aclexplode(p.proacl) a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE n.nspname = 'kb' AND a.grantee <> p.proowner
"""
ABLE = """
SELECT rolname FROM pg_roles
WHERE rolname = ANY($1) AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolbypassrls OR rolreplication)
"""
OWNERS_RIGHTS = """
SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('kb', 'kb_shadow') AND p.prosecdef
"""
KEPT_APART = "SELECT schemaname || '.' || tablename AS name, cmd FROM pg_policies WHERE policyname = 'tenant'"


async def table(sql: Any) -> str:
    """Tables and functions by role, as Markdown."""
    cells: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in await sql.fetch(GRANTED):
        cells[row["name"]][str(row["role"])].add(ORDER[row["what"]] if row["whole"] else ORDER[row["what"]].lower())
    for row in await sql.fetch(EXECUTABLE):
        cells[row["name"]][str(row["role"])].add("X")
    assert {role for by_role in cells.values() for role in by_role} == {f"kb_{role}" for role in ROLES}
    apart = {row["name"]: row["cmd"] for row in await sql.fetch(KEPT_APART)}

    def cell(name: str, role: str) -> str:
        marks = "RrIiUuDdTFGX"
        said = "".join(sorted(cells[name][f"kb_{role}"], key=marks.index))
        if role == "gallery" and said and name in apart:
            return f"{said}¹" if apart[name] == "ALL" else said.replace(apart[name][0], f"{apart[name][0]}¹")
        return said

    rows = [[f"`{name}`", *(cell(name, role) for role in ROLES)] for name in sorted(cells)]
    titles = ["", *(role.replace("_", "-") for role in ROLES)]
    wide = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    lines = ["| " + " | ".join(word.ljust(wide[i]) for i, word in enumerate(row)) + " |" for row in [titles, *rows]]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in wide) + "|")
    return "\n".join(lines)


async def test_the_threat_model_says_what_each_role_may(sql: Any) -> None:
    """To the letter; on a difference, put the table that is printed into the document, and think about it."""
    found = await table(sql)
    assert f"<!-- roles -->\n\n{found}\n\n<!-- /roles -->" in DOCUMENT.read_text(), f"\n{found}\n"


async def test_no_role_can_do_what_no_table_shows(sql: Any) -> None:
    """None may log in, make roles or look past policies; only these functions have their owner's rights."""
    assert await sql.fetch(ABLE, [f"kb_{role}" for role in ROLES]) == []
    assert {row["proname"] for row in await sql.fetch(OWNERS_RIGHTS)} == {
        "journal_keep_ahead", "journal_forget", "journal_index_past", "search_objects",
    }  # fmt: skip
