"""The HTTP application: the admin API below `/api/v1`, the page, and what must live as long as they do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gallery import files, metrics, pages, problems, session
from gallery.answering import Answering
from gallery.api import dead_letters, events, integrations, jobs, knowledge, overview, webhook
from gallery.authentication import Authentication
from gallery.identity import SCOPES
from gallery.live import Live
from gallery.resources import Resources
from integrations.registry import providers
from schema.errors import DatabaseUnavailable

API: Final = "/api/v1"
OPEN: Final = ("/static/", "/logos/", "/healthz", "/readyz", "/metrics")
"""The same for everybody, so that nobody is looked up for them, least of all while the database is away."""
DAY: Final = 86_400
ROUTERS: Final = (integrations, jobs, webhook, events, dead_letters, knowledge, overview)


def build(resources: Callable[[], AbstractAsyncContextManager[Resources]]) -> FastAPI:
    """The application. What `resources` opens is there from its start to its end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with resources() as opened:
            app.state.resources = opened
            yield

    app = FastAPI(
        title="kb-ingest",
        version="1",
        description="Integrations, their webhooks and jobs, the delivery log, dead letters, and the knowledge base. "
        "Errors are `application/problem+json` (RFC 9457).",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        routes=[*files.ROUTES],
        generate_unique_id_function=lambda route: route.name,
    )
    problems.install(app)
    app.state.live = Live()
    for module in ROUTERS:
        app.include_router(module.router, prefix=API)
    app.router.routes += [
        Route("/healthz", _healthz, methods=["GET"]),
        Route("/readyz", _readyz, methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
        Route("/live", app.state.live.__call__, methods=["GET"]),
        Route("/logos/{name}.svg", _logo, methods=["GET"]),
        *session.ROUTES,
        *pages.ROUTES,
    ]
    app.add_middleware(Authentication, prefix=f"{API}/", open_=OPEN)
    app.add_middleware(Answering)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]  # as FastAPI documents it
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI with what follows from our own door: bearer tokens, their scopes, and how errors look."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        components = schema.setdefault("components", {})
        told = problems.Told.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = components.setdefault("schemas", {})
        schemas["Told"] = told
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        scopes = "; ".join(f"`{name}`: {what}" for name, what in SCOPES.items())
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": f"An API token or a JWT. Scopes: {scopes}."}
        }
        schema["security"] = [{"bearer": []}]
        app.openapi_schema = schema
    return app.openapi_schema


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "alive"})


async def _readyz(request: Request) -> Response:
    resources: Resources = request.app.state.resources
    try:
        await resources.database.fetchrow("database_time", within=2)
    except DatabaseUnavailable:
        return JSONResponse({"status": "the database is away"}, status_code=503)
    return JSONResponse({"status": "ready"})


async def _metrics(_request: Request) -> Response:
    content, media_type = metrics.exposition()
    return Response(content, media_type=media_type)


async def _logo(request: Request) -> Response:
    found = providers().get(request.path_params["name"])
    if found is None:
        return Response(status_code=404)
    return Response(found.logo, media_type="image/svg+xml", headers={"cache-control": f"public, max-age={DAY}"})
