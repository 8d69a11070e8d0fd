"""The door of the API: who asks is found before anything of a request is read; who is wrong too often is told so.

A session's cookie counts as a credential for requests of our own page only: what changes something must come from
the same site (`Sec-Fetch-Site`, else `Origin`), so that no other page can do it in somebody's name.
"""

from __future__ import annotations

import math
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gallery import problems
from gallery.identity import NotRecognised, Principal
from gallery.oidc import IssuerAway
from gallery.problems import Problem
from gallery.resources import Resources
from schema.errors import DatabaseUnavailable

COOKIE: Final = "kb_session"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Authentication:
    """ASGI middleware: puts the principal into the scope as `kb.principal`, or answers 401, 403, 429 or 503.

    Attributes:
        prefix: below it, nobody unknown is let through.
        open_: beginnings of paths for which nobody is asked who they are.
    """

    def __init__(self, app: ASGIApp, prefix: str, open_: tuple[str, ...]) -> None:
        self._app = app
        self._prefix = prefix
        self._open = open_

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through who is known; below the prefix nobody else."""
        if scope["type"] != "http" or scope["path"].startswith(self._open):
            await self._app(scope, receive, send)
            return
        resources: Resources = scope["app"].state.resources
        try:
            scope["kb.principal"] = await recognise(scope, resources)
        except (Problem, DatabaseUnavailable) as error:
            scope["kb.refusal"] = problems.of(error)
            if scope["path"].startswith(self._prefix):
                await scope["kb.refusal"].response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def recognise(scope: Scope, resources: Resources) -> Principal:
    """Who asks. Raises `Problem`."""
    headers = Headers(scope=scope)
    address = scope["client"][0] if scope.get("client") else "unknown"
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    cookie = cookie_of(headers)
    if not credential and cookie and "authorization" not in headers:
        if scope["method"] not in SAFE and not same_site(headers):
            raise Problem("cross-site", "a signed-in browser may change things only from this site's own pages")
        return await attempt(resources, address, cookie, session=True)
    if scheme.lower() != "bearer":
        credential = ""
    return await attempt(resources, address, credential.strip())


async def attempt(resources: Resources, address: str, credential: str, *, session: bool = False) -> Principal:
    """Recognise a token or a session's cookie; whoever is wrong too often is told to wait. Raises `Problem`."""
    keeper = resources.gatekeeper
    try:
        return await (keeper.session(credential) if session else keeper.bearer(credential))
    except IssuerAway as error:
        raise problems.unavailable(error) from error
    except NotRecognised as error:
        guessed = error.reason in ("unknown", "invalid", "malformed") and not session
        if guessed and (wait := resources.attempts.failed(address, resources.now())) > 0:
            seconds = str(math.ceil(wait))
            raise Problem(
                "too-many-attempts",
                f"too many wrong credentials; try again in {seconds} s",
                headers={"Retry-After": seconds},
            ) from error
        challenge = "Bearer" if error.reason == "missing" else 'Bearer error="invalid_token"'
        raise Problem(
            "not-authenticated", str(error), headers={"WWW-Authenticate": challenge}, reason=error.reason
        ) from error


def cookie_of(headers: Headers) -> str:
    """The session's cookie, or nothing."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def same_site(headers: Headers) -> bool:
    """Whether a browser says that its own page of this site sent the request."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")
