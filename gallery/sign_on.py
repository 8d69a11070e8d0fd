"""Signing in at an OpenID provider: the authorization code flow with PKCE (RFC 6749, RFC 7636, OpenID Connect Core).

The browser goes away with a state and comes back with a code. What must come back with it is sealed in a cookie of
ten minutes, so that nothing is kept here. The access token is then looked at like any other JWT that somebody brings.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

import orjson

from gallery.identity import SCOPES
from gallery.issuer import Client
from gallery.oidc import Away, Oidc
from gallery.problems import Problem, unavailable
from integrations.sealing import Keyring, SealError

LEFT: Final = "kb_sign_on"
"""The cookie of a browser that is away."""
LASTS: Final = timedelta(minutes=10)
ROW: Final = "gallery/sign-on"
_WORD: Final = re.compile(r"[a-z_]{1,60}")
AGAIN: Final = "sign in again, in one browser and within ten minutes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOn:
    """Sends browsers to the provider and takes them back."""

    client: Client
    oidc: Oidc
    keyring: Keyring
    random: Callable[[int], bytes] = os.urandom

    async def away(self, target: str, now: datetime) -> tuple[str, str]:
        """Where to send a browser that wants to end at `target`, and its cookie. Raises `Problem`."""
        state, verifier = _word(self.random(32)), _word(self.random(32))
        endpoint = (await self._endpoints())["authorization_endpoint"]
        question = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect_uri,
            "scope": " ".join(["openid", "profile", *SCOPES]),
            "state": state,
            "code_challenge": _word(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        kept = orjson.dumps([state, verifier, target, (now + LASTS).timestamp()])
        joint = "&" if "?" in endpoint else "?"
        return f"{endpoint}{joint}{urlencode(question)}", _word(self.keyring.seal(kept, row=ROW))

    async def back(self, answer: Mapping[str, str], cookie: str, now: datetime) -> tuple[str, str]:
        """The access token that a browser came back for, and where it wanted to end. Raises `Problem`."""
        state, verifier, target, until = self._kept(cookie)
        if until < now.timestamp() or not hmac.compare_digest(state.encode(), answer.get("state", "").encode()):
            raise Problem("refused", f"this is not the end of a sign-in that began here: {AGAIN}")
        if "error" in answer:
            said = answer["error"] if _WORD.fullmatch(answer["error"]) else "an error"
            raise Problem("refused", f"the sign-in service said {said}; ask who looks after it, or take an API token")
        form = {
            "grant_type": "authorization_code",
            "code": answer.get("code", ""),
            "redirect_uri": self.client.redirect_uri,
            "client_id": self.client.client_id,
            "code_verifier": verifier,
        }
        credentials = (self.client.client_id, self.client.secret) if self.client.secret is not None else None
        try:
            granted = await self.oidc.granted((await self._endpoints())["token_endpoint"], form, credentials)
        except Away as error:
            raise unavailable(error) from error
        token = granted.get("access_token") if isinstance(granted, dict) else None
        if not isinstance(token, str) or not token:
            raise Problem("refused", f"the sign-in service gave no access token; {AGAIN}")
        return token, target

    async def _endpoints(self) -> Mapping[str, str]:
        try:
            return await self.oidc.endpoints("authorization_endpoint", "token_endpoint")
        except Away as error:
            raise unavailable(error) from error

    def _kept(self, cookie: str) -> tuple[str, str, str, float]:
        try:
            sealed = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
            state, verifier, target, until = orjson.loads(self.keyring.open(sealed, row=ROW))
        except (SealError, ValueError) as error:
            raise Problem("refused", f"this browser began no sign-in here, or too long ago: {AGAIN}") from error
        return state, verifier, target, until


def _word(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
