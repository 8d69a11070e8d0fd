"""What most commands begin with: configuration, logs, a database."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cli import logs, output
from cli.settings import Settings, load
from schema.postgres import Database


def configured() -> Settings:
    """The configuration of a program, its logs set up."""
    settings = load()
    logs.configure(level=settings.log_level, form=settings.log_format)
    return settings


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[Database]:
    """The database as an administrator's command sees it."""
    logs.configure(level="error", form="console")
    database = await Database(settings.need("database_url"), program="cli", role="kb_admin", max_size=2).open()
    try:
        yield database
    finally:
        await database.close()


def secret(value: str | None, file: Path | None, *, what: str) -> str | None:
    """A secret from an option, a file, or standard input (`-`). Raises `output.Failed`."""
    if file is None:
        if value is not None and not value.strip():
            raise output.Failed(f"{what} on the command line is empty; is a variable of your shell unset?")
        return value
    if value is not None:
        raise output.Misused(f"{what} is given twice; leave out the one on the command line")
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise output.Failed(f"{what} cannot be read from {file}: {type(error).__name__}") from error
    if not text.strip():
        raise output.Failed(f"{what} in {file} is empty")
    return text.strip()
