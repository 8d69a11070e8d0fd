"""What the command line writes to the audit log."""

from __future__ import annotations

import getpass
import os
from typing import Any
from uuid import UUID

from schema.postgres import Database, Row


async def write(
    database: Database,
    action: str,
    details: dict[str, Any],
    *,
    integration_id: UUID | None = None,
    org: str | None = None,
    project: UUID | None = None,
) -> None:
    """A line: who of this machine did it, and to whose. Without an organisation, those who see everything see it."""
    line = (f"cli:{whoami()}", action, integration_id, "done", details, None, org, project)
    await database.execute("audit_add", *line)


async def of_integration(database: Database, action: str, row: Row) -> None:
    """A line about an integration, which may be gone."""
    details = {"name": row["name"], "enabled": row["enabled"]}
    await write(database, action, details, integration_id=row["id"], org=row["org_id"], project=row["project_id"])


def whoami() -> str:
    """The name of who runs the command. In a container users are numbers that nobody gave a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the former before Python 3.13
        return f"uid {os.getuid()}"
