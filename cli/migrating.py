"""`kb-ingest migrate`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli import output
from cli.settings import load
from schema import migrate as migrations


def migrate(*, dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be applied.")] = False) -> None:
    """Bring the database schema up to date. Safe to run twice, or by two processes at once."""
    url = load().need("database_url")
    done = asyncio.run(
        migrations.migrate(url, dry_run=dry_run, applied=lambda one: output.say(f"applied {_title(one)}"))
    )
    if dry_run:
        for migration in done:
            output.say(f"would apply {_title(migration)}")
    if not done:
        output.say("the schema is up to date")


def _title(migration: migrations.Migration) -> str:
    return f"{migration.version:04} {migration.name}"
