"""Changes of tasks as ClickUp tells them, for the measurements of consumers: names and estimates, which say it all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import orjson

from integrations.clickup.simulator.workspace import Workspace
from integrations.sealing import Keyring
from schema import integrations
from schema.integrations import NewIntegration
from schema.postgres import Database


class Edit(NamedTuple):
    """One change: a task, `name` or `time_estimate`, the number that it is now, and its deliveries."""

    task_id: str
    field: str
    number: int
    deliveries: Sequence[dict[str, Any]]


def tasks(workspace: Workspace, count: int) -> list[str]:
    """A list with so many tasks."""
    list_id = workspace.create_space("Bench")[1]["list_id"]
    return [workspace.create_task(list_id, "0")[0]["task_id"] for _ in range(count)]


def edits(workspace: Workspace, ids: Sequence[str]) -> Iterator[Edit]:
    """One after the other, without end; a later one of the same attribute has a greater number.

    A change of a name is one delivery, one of an estimate two: a companion says the same again.
    """
    for number in itertools.count(1):
        task_id, by_name = ids[number * 7 % len(ids)], number // len(ids) % 2
        if by_name:
            yield Edit(task_id, "name", number, workspace.rename_task(task_id, str(number)))
        else:
            yield Edit(task_id, "time_estimate", number, workspace.set_time_estimate(task_id, number))


async def connect(url: str, keyring: Keyring, *, token: str, workspace_id: str) -> UUID:
    """An integration with this workspace; its id."""
    database, id_ = await Database(url, program="bench").open(), uuid4()
    settings = orjson.dumps({"token": token, "workspace_id": workspace_id})
    new = NewIntegration(
        id=id_, name="clickup", display_name="ClickUp", description=None, enabled=True, org_id="bench",
        project_id=uuid4(), settings_sealed=keyring.seal(settings, row=f"integrations/{id_}/settings"),
    )  # fmt: skip
    await integrations.create(database, new)
    await database.close()
    return id_
