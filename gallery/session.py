"""Signing in to the page and out of it: a token is exchanged for a cookie that no script can read."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gallery import problems
from gallery.access import SESSION
from gallery.authentication import COOKIE, attempt, cookie_of, same_site
from gallery.problems import Problem
from gallery.resources import Resources
from schema.errors import DatabaseUnavailable

LONGEST: Final = 20_000


def place_of_ours(text: str | None) -> str:
    """Where to go after signing in: a path of this site, whatever somebody wrote into a link."""
    if not text or not text.startswith("/") or text.startswith(("//", "/\\", "/sign-in", "/session")):
        return "/"
    if "\\" in text or any(ord(letter) < 33 or ord(letter) == 127 for letter in text):
        return "/"
    parts = urlsplit(text)
    return "/" if parts.scheme or parts.netloc else text


def signed_in(response: Response, cookie: str, *, secure: bool) -> Response:
    """The answer, with the session's cookie."""
    response.set_cookie(
        COOKIE, cookie, max_age=int(SESSION.total_seconds()), httponly=True, samesite="strict", secure=secure
    )
    return response


async def begin(request: Request) -> Response:
    """`POST /session {"token": ...}`: the cookie, or a problem."""
    shared: Resources = request.app.state.resources
    try:
        _own_page(request)
        address = request.client.host if request.client else "unknown"
        principal = await attempt(shared, address, await _token(request))
        cookie = await shared.gatekeeper.begin_session(principal)
    except (Problem, DatabaseUnavailable) as error:
        return problems.of(error).response()
    secure = request.headers.get("origin", "").startswith("https://")
    return signed_in(JSONResponse({"name": principal.name}), cookie, secure=secure)


async def end(request: Request) -> Response:
    """`DELETE /session`: signed out."""
    shared: Resources = request.app.state.resources
    try:
        _own_page(request)
        await shared.gatekeeper.end_session(cookie_of(request.headers))
    except (Problem, DatabaseUnavailable) as error:
        return problems.of(error).response()
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _own_page(request: Request) -> None:
    if not same_site(request.headers):
        raise Problem("cross-site", "sign in and out on the gallery's own page")


async def _token(request: Request) -> str:
    body = await request.body()
    try:
        token = orjson.loads(body[: LONGEST + 1])["token"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Problem("invalid-request", 'body: send {"token": "kbi_..."}') from error
    if not isinstance(token, str) or not token.strip():
        raise Problem("invalid-request", "body.token: paste a token first")
    return token.strip()


ROUTES: Final = [Route("/session", begin, methods=["POST"]), Route("/session", end, methods=["DELETE"])]
