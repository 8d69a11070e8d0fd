"""Bring the schema to today's version: forward only, each migration in its own transaction.

Promises: safe when run twice and by several processes at once (an advisory lock; the later one finds nothing left
to do); a migration that was applied and then edited is an error, never silently different.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from schema.errors import SchemaError
from schema.postgres import single, sql
from schema.postgres_errors import translated

MIGRATIONS: Final = Path(__file__).parent / "migrations"
LOCK_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of `schema/migrations`, `<version>_<name>.sql`."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load(folder: Path = MIGRATIONS) -> list[Migration]:
    """All migrations in order. Raises `SchemaError` when two share a version."""
    found = sorted(
        (
            Migration(
                version=int(path.name.split("_", 1)[0]),
                name=path.stem.split("_", 1)[1],
                text=path.read_text(),
            )
            for path in folder.glob("*.sql")
        ),
        key=lambda migration: migration.version,
    )
    for earlier, later in pairwise(found):
        if earlier.version == later.version:
            raise SchemaError(f"migrations {earlier.name} and {later.name} have the same number")
    return found


async def migrate(
    url: str, *, dry_run: bool = False, applied: Callable[[Migration], None] = lambda _migration: None
) -> list[Migration]:
    """Apply what is missing; the migrations that were (with `dry_run`: would be) applied.

    Args:
        url: a user who may create schemas, tables and, if possible, roles.
        dry_run: change nothing.
        applied: told after each one.

    Raises:
        DatabaseUnavailable: the server cannot be reached, or somebody held the lock for `LOCK_SECONDS`.
        SchemaError: an applied migration no longer has the text it was applied with.
    """
    connection = await single(url)
    try:
        with translated():
            async with asyncio.timeout(LOCK_SECONDS):
                await connection.execute(sql("migration_lock"))
            if not dry_run:
                await connection.execute(sql("migration_table"))
            missing = _missing(load(), await _applied(connection))
            for migration in [] if dry_run else missing:
                async with connection.transaction():
                    await connection.execute(migration.text)
                    await connection.execute(
                        sql("migration_add"), migration.version, migration.name, migration.checksum
                    )
                applied(migration)
            return missing
    finally:
        connection.terminate() if connection.is_closed() else await connection.close(timeout=5)


async def pending(url: str) -> list[Migration]:
    """The migrations that are not applied yet."""
    return await migrate(url, dry_run=True)


async def _applied(connection: Any) -> dict[int, str]:
    if not await connection.fetchval(sql("migration_table_exists")):
        return {}
    return {row["version"]: row["checksum"] for row in await connection.fetch(sql("migration_list"))}


def _missing(known: list[Migration], applied: dict[int, str]) -> list[Migration]:
    for migration in known:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise SchemaError(
                f"migration {migration.version:04} ({migration.name}) was changed after it was applied; "
                "restore its text and put the change into a new migration"
            )
    return [migration for migration in known if migration.version not in applied]
