"""What a program without an HTTP port of its own tells machines: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from consumers.worker import Worker
from schema.errors import DatabaseUnavailable
from schema.postgres import Database

ASK_SECONDS: Final = 1.0

Check = Callable[[], Awaitable[str | None]]
"""What is missing, or None."""


def build(checks: dict[str, Check]) -> Starlette:
    """The application. `checks`, by the names of what runs here, may grow until all of it is started."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        missing = {name: found for name, check in checks.items() if (found := await check()) is not None}
        if missing or not checks:
            return JSONResponse({"status": "not ready", "missing": missing}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    paths = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
    return Starlette(routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in paths.items()])


def starting(name: str) -> Check:
    """For something that is not there yet."""

    async def check() -> str | None:
        return f"{name} is starting"

    return check


def receives(worker: Worker) -> Check:
    """Whether a worker has a consumer on its queue."""

    async def check() -> str | None:
        return None if worker.ready else f"no consumer on {worker.queue.name}"

    return check


def answers(database: Database) -> Check:
    """For who has no queue: whether the database answers."""

    async def check() -> str | None:
        try:
            await database.fetchrow("database_time", within=ASK_SECONDS)
        except DatabaseUnavailable:
            return "the database does not answer"
        return None

    return check
