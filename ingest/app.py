"""The HTTP application: four routes, and what must live as long as they do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import Lifespan, Receive, Scope, Send

from events.bus import Bus
from events.embedded import Embedded
from ingest import metrics
from ingest.acceptance import SPOOL_MAX, Acceptor
from ingest.bodies import Bodies
from ingest.snapshot import Secrets
from ingest.webhooks import Webhooks
from integrations.sealing import Keyring
from schema.postgres import Database

MAX_BODY: Final = 1024 * 1024
BODY_SECONDS: Final = 5.0
START_SECONDS: Final = 2.0
"""To wait for the stores before listening: it has them by then, or `/healthz` says soon that the process lives."""
DELIVERY: Final = re.compile("/webhooks/(?P<provider>[^/]+)(?:/(?P<integration_id>[^/]+))?")


def build(
    *,
    bus: Bus,
    spool: Embedded | None,
    database: Database,
    keyring: Keyring,
    max_body: int = MAX_BODY,
    body_seconds: float = BODY_SECONDS,
    spool_max: int = SPOOL_MAX,
    loaded: Callable[[], None] = lambda: None,
) -> Starlette:
    """The application. It starts with the broker, the database or both away, and is ready when one of them is there.

    `bus`, `spool` and `database` are closed when the application ends. `loaded` is called once all that it keeps in
    memory is there.
    """
    secrets = Secrets(database, keyring, loaded=loaded)
    acceptor = Acceptor(bus=bus, spool=spool, spool_max=spool_max)
    bodies = Bodies(limit=max_body, within=body_seconds)
    webhooks = Webhooks(secrets=secrets, acceptor=acceptor, bodies=bodies, now=_now)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        if secrets.current is None:
            return JSONResponse({"status": "secrets not loaded"}, status_code=503)
        if not await acceptor.able():
            return JSONResponse({"status": "no store can take an event"}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def exposition(_request: Request) -> Response:
        await acceptor.measure()
        content, media_type = metrics.exposition()
        return Response(content, media_type=media_type)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await database.open()
        await asyncio.gather(bus.start(within=START_SECONDS), secrets.start(within=START_SECONDS))
        acceptor.start()
        try:
            yield
        finally:  # by now every request is answered: uvicorn stops listening and waits for them first
            await acceptor.close()
            await secrets.close()
            if spool is not None:
                await spool.close()
            await bus.close()
            await database.close()

    app = Ingest(
        webhooks,
        lifespan=lifespan,
        routes=[
            Route("/webhooks/{provider}/{integration_id}", webhooks, methods=["POST"]),
            Route("/webhooks/{provider}", webhooks, methods=["POST"]),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", exposition, methods=["GET"]),
        ],
    )
    _never_redirect(app.router)
    return app


class Ingest(Starlette):
    """The application. A delivery goes straight to its endpoint, past middleware, routing, Request and Response, which
    cost as much as all that is done for it; whatever else is asked takes Starlette's way.
    """

    def __init__(self, webhooks: Webhooks, *, lifespan: Lifespan[Any], routes: Sequence[Route]) -> None:
        super().__init__(lifespan=lifespan, routes=routes)
        self._webhooks = webhooks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "http" and scope["method"] == "POST" and (found := DELIVERY.fullmatch(scope["path"])):
            provider, integration_id = found.groups()
            scope["path_params"] = {"provider": provider, "integration_id": integration_id}
            await self._webhooks(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _now() -> datetime:
    return datetime.now(UTC)


def _never_redirect(router: Router) -> None:
    """A trailing slash would be answered 307, and ClickUp's handling of a 3xx is unknown."""
    router.redirect_slashes = False
