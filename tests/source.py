"""A ClickUp whose answers a test sets one by one: a real HTTP server on loopback. It counts what it is asked."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.serving import InProcessServer
from tests.conftest import until

SPACE, LIST, OLD_LIST, FOLDER = "90131120077", "901305551277", "901305551201", "90131880442"
TASK, COMMENT, TEAM = "868cq4m2x", "90130098113702", "9012345678"
GOAL, KEY_RESULT = "6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10", "b3a90d4e-77c2-4d1b-8a3f-5c6e7f801234"
NADIA = {"id": 48213377, "username": "Nadia Okafor", "email": "nadia.okafor@example.com", "color": None}
INVISIBLE = (401, {"err": "Team not authorized", "ECODE": "OAUTH_027"})


class Source:
    """What ClickUp says now. `answers`: path under /api/v2 to an object, or to a status and an object."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.calls: Counter[str] = Counter()
        self.url = ""

    async def answer(self, request: Request) -> Response:
        path = request.path_params["path"]
        self.calls[path] += 1
        found = self.answers.get(path, INVISIBLE)
        status, body = found if isinstance(found, tuple) else (200, found)
        return JSONResponse(body, status_code=status)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Source]:
        """Serve while inside."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        app = Starlette(routes=[Route("/api/v2/{path:path}", self.answer)])
        server = InProcessServer(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        try:
            yield self
        finally:
            server.should_exit = True
            await task
            listener.close()


def story() -> dict[str, Any]:
    """The workspace at the end of the story that the samples tell, in ClickUp's odd types."""
    space = {"id": SPACE, "name": "Platform Knowledge", "private": False, "archived": False, "statuses": []}
    team = {"id": TEAM, "name": "Acme", "color": "#000", "members": [{"user": NADIA}]}
    hidden = {"id": "90131880999", "name": "hidden", "hidden": True, "access": True}
    list_ = {"id": LIST, "name": "Published articles (EU)", "folder": hidden, "space": {"id": SPACE}, "task_count": "1"}
    return {
        "user": {"user": NADIA},
        "team": {"teams": [team]},
        f"space/{SPACE}": space,
        f"list/{LIST}": list_,
        f"task/{TASK}": task(),
        f"task/{TASK}/comment": {"comments": [comment()]},
        f"goal/{GOAL}": {"goal": {"id": GOAL, "name": "Answer once", "team_id": TEAM, "key_results": []}},
    }


def task(id_: str = TASK, **changes: Any) -> dict[str, Any]:
    """A task as GET /task/{id} gives it."""
    return {
        "id": id_,
        "custom_id": None,
        "name": "Write the incident playbook: für alle 📘",
        "text_content": "Steps",
        "markdown_description": "## Steps",
        "status": {"status": "in progress", "color": "#5f55ee", "orderindex": 1, "type": "custom"},
        "orderindex": "1.00000000000000000000000000000000",
        "date_created": "1773568805123",
        "date_updated": "1773569553977",
        "due_date": None,
        "archived": False,
        "creator": NADIA,
        "assignees": [NADIA],
        "checklists": [{"name": "Before", "items": [{"name": "call", "resolved": True}]}],
        "tags": [{"name": "runbook"}],
        "parent": None,
        "priority": {"id": "2", "priority": "high", "color": "#fc0", "orderindex": "2"},
        "custom_fields": [],
        "list": {"id": LIST, "name": "Published articles (EU)", "access": True},
        "folder": {"id": "90131880999", "name": "hidden", "hidden": True, "access": True},
        "space": {"id": SPACE},
        "url": f"https://app.clickup.com/t/{id_}",
    } | changes


def comment() -> Mapping[str, Any]:
    """A comment as GET /task/{id}/comment lists it."""
    return {
        "id": COMMENT,
        "comment_text": "Checked on staging, no lost messages.",
        "user": NADIA,
        "date": "1773569451207",
        "reply_count": "0",
        "resolved": False,
    }
