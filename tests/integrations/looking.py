"""What the tests of the reader share: a simulated ClickUp to look at, and an API that a test answers itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import respx

from integrations.clickup import reader
from integrations.clickup.client import ClickUp, transport
from integrations.clickup.reader import Heard
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.server import Simulator
from integrations.clickup.simulator.workspace import Workspace
from integrations.clickup.webhook import read
from schema.records import Cause, Look, Record, Ref
from tests.turns import Unmetered

TOKEN = "pk_48213377_TEST"
NOW = datetime(2026, 3, 15, 10, tzinfo=UTC)
API = "https://api.clickup.test/api"


def hear(*bodies: Body) -> list[Heard]:
    """These events, one received every second."""
    received = (NOW + timedelta(seconds=at) for at in range(len(bodies)))
    return [
        Heard(notice=read(orjson.dumps(body)), cause=Cause(event_id=uuid4(), received_at=at))
        for body, at in zip(bodies, received, strict=True)
    ]


def event(name: str, **ids: str) -> Body:
    return {"event": name, **ids}


@dataclass
class Setting:
    """A ClickUp with one list, a client of it, and a knowledge base that knows some refs."""

    client: ClickUp
    workspace: Workspace
    simulator: Simulator
    http: httpx.AsyncClient
    url: str
    list_id: str
    space_id: str
    known: set[Ref] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    questions: list[set[Ref]] = field(default_factory=list)

    async def unknown(self, refs: Collection[Ref]) -> set[Ref]:
        self.questions.append(set(refs))
        return set(refs) - self.known

    async def look(
        self, heard: Sequence[Heard], client: ClickUp | None = None
    ) -> tuple[dict[Ref, Record], dict[Ref, str], dict[UUID, Exception]]:
        """A look's records and tombstones by ref, and its failures; `asked` has the paths it took."""
        self.asked.clear()
        found, failed = await reader.look(
            heard,
            client=client or self.client,
            workspace_id=self.workspace.team_id,
            unknown=self.unknown,
            now=lambda: NOW,
        )
        return *split(found), dict(failed)

    def a_task(self, name: str = "One", **more: Any) -> str:
        return str(self.workspace.create_task(self.list_id, name, **more)[0]["task_id"])

    def know_all_above(self) -> None:
        """Make the knowledge base know the list and what is above it."""
        folder = self.workspace.lists[self.list_id].folder_id
        ids = {"list": self.list_id, "folder": folder, "space": self.space_id, "workspace": self.workspace.team_id}
        self.known |= {Ref(kind, id_) for kind, id_ in ids.items()}


def split(found: Look) -> tuple[dict[Ref, Record], dict[Ref, str]]:
    assert len({record.ref for record, _ in found.records}) == len(found.records)
    assert len({stone.ref for stone, _ in found.tombstones}) == len(found.tombstones)
    return {record.ref: record for record, _ in found.records}, {one.ref: one.because for one, _ in found.tombstones}


@asynccontextmanager
async def setting(*, known: bool = True) -> AsyncIterator[Setting]:
    simulator = Simulator(seed=3, token=TOKEN)
    ws = simulator.workspace
    space = ws.create_space("Platform")[0]["space_id"]
    folder = ws.create_folder(space, "Runbooks")[0]["folder_id"]
    list_id = ws.create_list(folder, "Incidents")[0]["list_id"]
    async with simulator.serving() as url, transport() as http:
        made = Setting(
            client=ClickUp(http, url=url, token=TOKEN, turns=Unmetered()),
            workspace=ws,
            simulator=simulator,
            http=http,
            url=url,
            list_id=list_id,
            space_id=space,
        )

        async def note(request: httpx.Request) -> None:
            made.asked.append(request.url.path.removeprefix("/api/v2/"))

        http.event_hooks = {"request": [note]}
        if known:
            made.know_all_above()
        yield made


async def look_at(http: httpx.AsyncClient, heard: Sequence[Heard]) -> tuple[Look, dict[UUID, Exception]]:
    """A look over a pool that a test answers itself, with nothing known."""

    async def unknown(refs: Collection[Ref]) -> set[Ref]:
        return set(refs)

    client = ClickUp(http, url=API, token=TOKEN, turns=Unmetered())
    found, failed = await reader.look(heard, client=client, workspace_id="9", unknown=unknown, now=lambda: NOW)
    return found, dict(failed)


def refusing(routes: dict[str, Any]) -> Callable[[httpx.Request], httpx.Response]:
    """An API that has these objects and answers for all others that they are not there."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2/")
        if path not in routes:
            return httpx.Response(401, json={"err": "Team not authorized", "ECODE": "OAUTH_027"})
        found = routes[path]
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    return answer


async def look_over(routes: dict[str, Any], *bodies: Body) -> tuple[Look, list[Exception | None]]:
    """A look at an API of these objects; what came of each event."""
    heard = hear(*bodies)
    with respx.mock(base_url=API) as router:
        router.get().mock(side_effect=refusing({"user": {"user": {"id": 1}}} | routes))
        async with transport() as http:
            found, failed = await look_at(http, heard)
    return found, [failed.get(one.cause.event_id) for one in heard]
