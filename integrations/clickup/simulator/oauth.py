"""OAuth as ClickUp has it: the page where somebody allows an app, and the exchange of the code for a token.

Official: `/api?client_id=&redirect_uri=&state=` on the app's own host, the exchange by JSON or form, tokens that do
not expire and no refresh token, OAUTH_010 for an unknown client, OAUTH_007 for a redirect elsewhere, OAUTH_017 for a
missing one. Assumed: a code is good once, an app's redirects are compared by their beginning, the codes and statuses
of the other refusals. Nobody is asked here: who opens the page has allowed it.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from integrations.clickup.simulator.gate import json_answer
from integrations.clickup.simulator.refusals import RefusalError
from integrations.clickup.simulator.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthApp:
    """An app registered with ClickUp. Without `redirect_uris` it may send people back to anywhere."""

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...] = ()


class OAuth:
    """The two requests of one app.

    Attributes:
        app: the app.
        user_id: who allows it, and so whom the tokens act for; the owner unless set otherwise.
        codes: codes handed out and not yet used, with the user that allowed.
    """

    def __init__(self, workspace: Workspace, tokens: MutableMapping[str, int], app: OAuthApp | None = None) -> None:
        self._chance = workspace.random_for("oauth")
        self._tokens = tokens
        self.app = app or OAuthApp(client_id=self._word(32), client_secret=self._word(64))
        self.user_id = workspace.owner.id
        self.codes: dict[str, int] = {}

    async def authorize(self, request: Request) -> Response:
        """The page where the app is allowed: straight back with a code."""
        query = request.query_params
        target = query.get("redirect_uri")
        if query.get("client_id") != self.app.client_id:
            raise RefusalError(401, "Client not found", "OAUTH_010")
        if not target:
            raise RefusalError(400, "Redirect URI required", "OAUTH_017")
        if self.app.redirect_uris and not target.startswith(self.app.redirect_uris):
            raise RefusalError(400, "Redirect URI does not match", "OAUTH_007")
        code = self._word(32)
        self.codes[code] = self.user_id
        state = {"state": query["state"]} if "state" in query else {}
        joint = "&" if "?" in target else "?"
        return RedirectResponse(target + joint + urlencode({"code": code} | state), 302)

    async def token(self, request: Request) -> Response:
        """The exchange; the token is good from now on, behind Bearer."""
        wanted = await _fields(request)
        if wanted.get("client_id") != self.app.client_id:
            raise RefusalError(401, "Client not found", "OAUTH_010")
        if wanted.get("client_secret") != self.app.client_secret:
            raise RefusalError(401, "Client secret wrong", "OAUTH_011")
        user_id = self.codes.pop(str(wanted.get("code")), None)
        if user_id is None:
            raise RefusalError(401, "Code unknown or used", "OAUTH_014")
        token = f"{user_id}_{self._word(64)}"
        self._tokens[token] = user_id
        return json_answer({"access_token": token}, 200)

    def revoke(self, token: str) -> None:
        """Somebody takes the permission back: the token is no longer known."""
        del self._tokens[token]

    def _word(self, length: int) -> str:
        return "".join(self._chance.choices("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=length))


async def _fields(request: Request) -> dict[str, Any]:
    body = await request.body()
    if "json" not in request.headers.get("content-type", ""):
        return dict(parse_qsl(body.decode("latin-1")))
    try:
        wanted = orjson.loads(body)
    except orjson.JSONDecodeError:
        wanted = None
    if not isinstance(wanted, dict):
        raise RefusalError(400, "Invalid JSON", "INPUT_001")
    return wanted
