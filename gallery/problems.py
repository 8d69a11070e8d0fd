"""What goes wrong, told as `application/problem+json` (RFC 9457): a stable `type`, words that help, no input quoted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from events.errors import BusError
from integrations.registry import NotNow
from integrations.sealing import SealError
from integrations.settings import Invalid
from schema.errors import DatabaseUnavailable

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "urn:kb-ingest:problem:"
RETRY_SECONDS: Final = 5
NOT_JSON: Final = "the body cannot be read as JSON"

Name = Literal[
    "not-authenticated", "missing-scope", "out-of-reach", "cross-site", "not-found", "method-not-allowed", "ambiguous",
    "already-connected", "disabled", "job-over", "in-progress", "changed-meanwhile", "too-large", "invalid-request",
    "invalid-settings", "key-reused", "too-many-attempts", "unexpected", "source-unavailable", "unavailable", "refused",
    "not-json",
]  # fmt: skip
KINDS: Final[Mapping[Name, tuple[int, str]]] = {
    "not-authenticated": (401, "You are not signed in"),
    "missing-scope": (403, "Your credential does not allow this"),
    "out-of-reach": (403, "Your credential is for something else"),
    "cross-site": (403, "Another site may not do this in your name"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "This cannot be done here"),
    "ambiguous": (409, "Several things are called so"),
    "already-connected": (409, "The project has this integration already"),
    "disabled": (409, "The integration is disabled"),
    "job-over": (409, "The job is over"),
    "in-progress": (409, "Somebody is at it right now"),
    "changed-meanwhile": (412, "Somebody else changed it meanwhile"),
    "too-large": (413, "The request is too large"),
    "invalid-request": (422, "The request cannot be understood"),
    "invalid-settings": (422, "The settings cannot be saved"),
    "key-reused": (422, "The idempotency key was used for another request"),
    "too-many-attempts": (429, "Too many wrong attempts"),
    "unexpected": (500, "Something broke here"),
    "source-unavailable": (502, "The source could not be asked"),
    "unavailable": (503, "The database or the broker is away"),
    "refused": (400, "The request was refused"),
    "not-json": (400, "The body is not JSON"),
}
"""Every problem by the end of its `type`: its status and title."""

log = structlog.get_logger()


class Problem(Exception):
    """An answer that is not what was asked for.

    Attributes:
        detail: what is wrong and what to do, for this case.
        more: further members, for programs.
    """

    def __init__(self, name: Name, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.name: Name = name
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    @property
    def status(self) -> int:
        """Its HTTP status."""
        return KINDS[self.name][0]

    def response(self) -> Response:
        """As an answer."""
        status, title = KINDS[self.name]
        body = {"type": PREFIX + self.name, "title": title, "status": status, "detail": self.detail, **self.more}
        # ASCII: half of a surrogate pair in a name cannot be written as UTF-8
        return Response(json.dumps(body), status_code=status, headers=self.headers, media_type=MEDIA_TYPE)


class Told(BaseModel):
    """A problem, RFC 9457."""

    type: str = Field(description=f"One of {', '.join(PREFIX + name for name in KINDS)}.")
    title: str
    status: int
    detail: str = Field(description="What is wrong here, and what to do.")
    missing_scope: str | None = Field(None, description="The scope that is needed and was not given.")
    errors: list[dict[str, str]] | None = Field(None, description="What is wrong, and where in the request.")


def told(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that are problems, for its OpenAPI."""
    titles = dict(KINDS.values())
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Told"}}}
    always = (400, 401, 403, 413, 422, 429, 500, 503)
    return {status: {"description": titles[status], "content": content} for status in sorted({*always, *statuses})}


def unavailable(error: Exception) -> Problem:
    """Something we rest on is away."""
    return Problem("unavailable", str(error), headers={"Retry-After": str(RETRY_SECONDS)})


def of(error: Exception) -> Problem:
    """Any error as a problem."""
    match error:
        case Problem():
            found = error
        case RequestValidationError():
            found = _invalid(error)
        case Invalid():
            faults = [{"where": f"body.settings.{name}", "what": what} for name, what in error.faults.items()]
            found = Problem("invalid-settings", str(error), errors=faults)
        case HTTPException():
            found = _of_http(error)
        case NotNow():
            found = Problem("source-unavailable", str(error))
        case DatabaseUnavailable() | BusError() | SealError():
            found = unavailable(error)
        case _:
            found = Problem("unexpected", "it was written to the log; try again, and tell an operator if it stays")
    return found


def _of_http(error: HTTPException) -> Problem:
    known: dict[int, tuple[Name, str]] = {
        400: ("not-json", NOT_JSON),
        404: ("not-found", "there is nothing at this address; see /docs"),
        405: ("method-not-allowed", "see /docs for what can be done here"),
        413: ("too-large", "send less than a megabyte"),
    }
    name, detail = known.get(error.status_code, ("refused", "the request is not well formed; see /docs"))
    return Problem(name, detail, headers=error.headers)


def _allowed(request: Request) -> set[str]:
    """What the API does at an address, by its OpenAPI: the router would tell of one route alone."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    path = request.url.path
    found = [path] if path in paths else [one for one in paths if re.fullmatch(re.sub(r"{\w+}", "[^/]+", one), path)]
    return {method.upper() for one in found for method in paths[one]}


def _invalid(error: RequestValidationError) -> Problem:
    if any(one["type"] == "json_invalid" for one in error.errors()):
        return Problem("not-json", NOT_JSON)
    faults = [
        {"where": ".".join(map(str, one["loc"]))[:200], "what": str(one["msg"])[:200]} for one in error.errors()[:20]
    ]
    first = faults[0]
    return Problem("invalid-request", f"{first['where']}: {first['what']}", errors=faults)


def install(app: FastAPI) -> None:
    """Have the application tell every error so."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = of(error)
        if problem.status == 405 and (allowed := _allowed(request)):
            problem.headers["Allow"] = ", ".join(sorted(allowed))
        if problem.status >= 500:
            log.warning("gallery.problem", type=problem.name, path=request.url.path, error=type(error).__name__)
        return problem.response()

    for kind in (
        Problem, RequestValidationError, Invalid, NotNow, DatabaseUnavailable, BusError, SealError, HTTPException,
        Exception,
    ):  # fmt: skip
        app.add_exception_handler(kind, handle)
