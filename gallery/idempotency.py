"""One effect for one `Idempotency-Key`: the answer to a POST is kept for a day and given again.

As the draft standard for the header has it: the same key with another request is refused, and so is one whose first
request is still being answered. What was no answer (5xx) is forgotten, so that it may be tried again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from gallery import problems
from gallery.problems import Problem
from gallery.resources import principal, resources

HEADER: Final = "idempotency-key"
LONGEST: Final = 200
KEPT: Final = ("content-type", "location", "etag")
ABANDONED_SECONDS: Final = 120.0
"""After so long without an answer, whoever had the key is dead."""


class Once(APIRoute):
    """A route whose POST has its effect once for a key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the key around it."""
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if request.method != "POST" or key is None:
                return await handle(request)
            if not 0 < len(key) <= LONGEST:
                raise Problem("invalid-request", f"header.Idempotency-Key: must have 1 to {LONGEST} characters")
            return await _once(request, key, handle)

        return once


async def _once(request: Request, key: str, handle: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    database = resources(request).database
    who = principal(request)  # with all that it may: a weaker credential of the same name gets no stronger one's answer
    reach = f"{who.token_id} {who.org_id} {who.project_id} {sorted(who.scopes)}"
    hashed = _digest(who.subject.encode(), reach.encode(), key.encode())
    address = f"{request.method} {request.url.path}?{request.url.query}"
    fingerprint = _digest(address.encode(), await request.body())
    row = await database.fetchrow("idempotency_begin", hashed, fingerprint, ABANDONED_SECONDS)
    if row is None or not row["mine"]:
        return _again(row, fingerprint)
    try:
        response = await handle(request)
    except Exception as error:
        problem = problems.of(error)
        if problem.status >= 500:
            await database.execute("idempotency_forget", hashed)
            raise
        response = problem.response()
    headers = {name: value for name, value in response.headers.items() if name in KEPT}
    await database.execute("idempotency_end", hashed, response.status_code, headers, bytes(response.body))
    return response


def _again(row: Any, fingerprint: bytes) -> Response:
    if row is not None and row["fingerprint"] != fingerprint:
        raise Problem("key-reused", "take a new Idempotency-Key for another request")
    if row is None or row["status"] is None:
        raise Problem("in-progress", "the first request with this Idempotency-Key is still being answered")
    headers = {**row["headers"], "idempotent-replayed": "true"}
    return Response(row["body"], status_code=row["status"], headers=headers)


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
