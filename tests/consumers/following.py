"""What the tests of jobs share: a simulated workspace with everything ClickUp's defaults hide, followed by us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from consumers.comparison import Comparison
from consumers.differences import Difference
from consumers.jobs import claim, work_on
from events.applied import job_event
from integrations.access import Opener
from integrations.budget import Budget, Priority
from integrations.clickup.client import transport
from integrations.clickup.simulator.server import Simulator
from integrations.errands import IMPORT, Options
from integrations.registry import Provider, providers
from integrations.sealing import Keyring
from schema import jobs
from schema.jobs import NewJob
from schema.postgres import Database, Row
from tests.conftest import Connected, connect

TOKEN = "pk_48213377_JOBS"


def hidden(simulator: Simulator) -> dict[str, str]:
    """Found a small workspace that has one of each thing a listing leaves out; their ids by what they are."""
    ws = simulator.workspace
    space = ws.create_space("Platform")[0]["space_id"]
    folder = ws.create_folder(space, "Runbooks")[0]["folder_id"]
    nested = ws.create_folder(folder, "Old runbooks")[0]["folder_id"]
    lists = {
        "list": ws.create_list(folder, "Incidents")[0]["list_id"],
        "nested list": ws.create_list(nested, "Archive")[0]["list_id"],
        "folderless list": ws.create_list(space, "Ideas")[0]["list_id"],
        "archived list": ws.create_list(folder, "Closed down")[0]["list_id"],
    }
    ids = {"space": space, "folder": folder, "nested folder": nested, **lists}
    for name, list_id in lists.items():
        ids[f"task in {name}"] = ws.create_task(list_id, f"Task in {name}")[0]["task_id"]
    main = ids["list"]
    top = ids["task"] = ws.create_task(main, "Top", description="**Drain** first")[0]["task_id"]
    ids["subtask"] = ws.create_task(main, "Sub", parent=top)[0]["task_id"]
    ids["closed task"] = ws.create_task(main, "Done with")[0]["task_id"]
    ws.set_status(ids["closed task"], "closed")
    ids["archived task"] = ws.create_task(main, "Put away")[0]["task_id"]
    ws.archive_task(ids["archived task"])
    ids["task of two lists"] = ws.create_task(main, "Here and there")[0]["task_id"]
    ws.add_to_list(ids["task of two lists"], ids["folderless list"])
    ws.add_checklist(top, "Before", ["call", "write"])
    ws.add_dependency(top, ids["closed task"])
    ws.link_tasks(top, ids["archived task"])
    ws.track_time(top, 90_000)
    remarks = [ws.post_comment(top, f"Remark {turn}")[0]["history_items"][0]["after"] for turn in range(30)]
    ids["comment"] = remarks[0]
    ids["reply"] = ws.post_comment(top, "Reply", reply_to=remarks[0])[0]["history_items"][0]["after"]
    doc = ws.create_doc("Handbook", space, 4)
    page = ws.add_page(doc.id, "Start", "Read **this**")
    ws.add_page(doc.id, "More", "and this", parent=page.id)
    ids["doc"], ids["page"] = doc.id, page.id
    ids["goal"] = ws.create_goal("Q1")[0]["goal_id"]
    ids["key result"] = ws.create_key_result(ids["goal"], "Ship")[0]["key_result_id"]
    ws.archive_list(ids["archived list"])
    return ids


@dataclass
class Following:
    """One integration that follows a simulated workspace, by jobs."""

    simulator: Simulator
    database: Database
    sql: Any
    opener: Opener
    connected: Connected
    ids: dict[str, str]

    async def ask(self, kind: str, **options: Any) -> Row:
        """Ask for a job."""
        async with self.database.transaction() as transaction:
            job = NewJob(integration_id=self.connected.id, kind=kind, options=options)
            row = await jobs.request(transaction, job, job_event)
        assert row is not None
        return row

    async def run(self, kind: str, **options: Any) -> Row:
        """Ask for a job and have it done; its row in the end."""
        return await self.work(await self.ask(kind, **options))

    async def work(self, job: Row) -> Row:
        """Do a job to its end, or as far as it goes."""
        taken = await claim(self.database, job["id"])
        assert taken is not None
        await work_on(self.database, self.opener, taken, wake=asyncio.Event())
        ended = await jobs.find(self.database, job["id"])
        assert ended is not None
        return ended

    async def differences(self) -> list[Difference]:
        """What a comparison of everything finds."""
        return (await (await self.comparison(providers()["clickup"])).run()).differences

    async def comparison(self, provider: Provider) -> Comparison:
        """A comparison of everything."""
        return Comparison(
            database=self.database,
            provider=provider,
            access=self.opener.open(await self.row(), Priority.IMPORT),
            integration_id=self.connected.id,
            options=Options(),
            progress=lambda _page, _result: None,
        )

    async def row(self) -> Row:
        (row,) = await self.database.fetch("integration_settings", [self.connected.id])
        return row

    async def state(self) -> Row:
        return await self.database.fetchrow("sync_show", self.connected.id)

    async def object(self, type_: str, id_: str) -> Row | None:
        """A stored object."""
        return await self.sql.fetchrow(
            "SELECT * FROM kb.objects WHERE integration_id = $1 AND external_type = $2 AND external_id = $3",
            self.connected.id, type_, id_,
        )  # fmt: skip

    async def alive(self, type_: str, id_: str) -> bool:
        row = await self.object(type_, id_)
        return row is not None and row["deleted_at"] is None

    async def missed(self) -> list[tuple[str, str]]:
        """The gap: type and id of what no delivery brought."""
        rows = await self.sql.fetch("SELECT external_type, external_id FROM kb.missed_changes ORDER BY 1, 2")
        return [(row["external_type"], row["external_id"]) for row in rows]

    async def edges(self, type_: str) -> set[tuple[UUID, UUID]]:
        rows = await self.sql.fetch("SELECT src_id, dst_id FROM kb.relationships WHERE type = $1", type_)
        return {(row["src_id"], row["dst_id"]) for row in rows}


@asynccontextmanager
async def following(
    database: Database, sql: Any, keyring: Keyring, simulator: Simulator | None = None, *, imported: bool = True
) -> AsyncIterator[Following]:
    """A followed workspace, everything imported or nothing yet."""
    simulator = simulator or Simulator(seed=6, token=TOKEN)
    ids = hidden(simulator)
    async with simulator.serving() as url, transport() as http:
        one = await connect(
            database, keyring, connected=Connected(id=uuid4()), token=TOKEN, workspace_id=simulator.workspace.team_id
        )
        opener = Opener(
            database=database,
            keyring=keyring,
            budget=Budget(database),
            http=http,
            clickup_url=url,
            now=lambda: datetime.now(UTC),
        )
        at = Following(simulator, database, sql, opener, one, ids)
        if imported:
            assert (await at.run(IMPORT))["status"] == "completed"
        yield at
