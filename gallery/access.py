"""Who is asking: API tokens, JWTs of an OpenID provider, sessions of the page, and how often one may be wrong.

Promises: a revoked token is refused 5 s later at the latest, its sessions at once; an expired one at once; what is
kept in memory is bounded; no credential is in an error, a log line or a row.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Final

from gallery.identity import SCOPES, NotRecognised, Principal, restored, stored
from gallery.oidc import Oidc, is_jwt
from schema import tokens
from schema.postgres import Database, Row

SESSION: Final = timedelta(hours=12)
IDLE: Final = timedelta(hours=1)
SEEN_EVERY: Final = timedelta(minutes=1)
"""How exactly the last use of a token or a session is written."""
CACHE: Final = timedelta(seconds=5)
MOST_CACHED: Final = 1024
MINUTE: Final = timedelta(minutes=1)
FAILURES: Final = 300
"""Wrong credentials a minute from an address: more than any check of every route, less than a client in a loop."""
MOST_ADDRESSES: Final = 4096

_COOKIE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def standing(token: Row, now: datetime) -> Principal:
    """Whom a token's row stands for. Raises `NotRecognised` if it was revoked or has expired."""
    if token["revoked_at"] is not None:
        raise NotRecognised("revoked", "the API token was revoked; ask for another one")
    if token["expires_at"] is not None and token["expires_at"] <= now:
        raise NotRecognised("expired", "the API token has expired; ask for another one")
    return Principal(
        subject=f"token:{token['name']}",
        name=token["name"],
        scopes=frozenset(token["scopes"]) & SCOPES.keys(),
        org_id=token["org_id"],
        project_id=token["project_id"],
        token_id=token["id"],
        expires_at=token["expires_at"],
    )


def signed_in(session: Row | None, now: datetime) -> Principal:
    """Whose session this is. Raises `NotRecognised` if there is none, it is over, or its token no longer counts."""
    if session is None:
        raise NotRecognised("unknown", "you are not signed in; sign in again")
    if session["session_expires_at"] <= now or session["seen_at"] + IDLE <= now:
        raise NotRecognised("expired", "the session is over; sign in again")
    if session["token_id"] is not None:
        return standing(session, now)
    return restored(session["principal"], expires_at=session["session_expires_at"])


class _Recent:
    """What was found by hash in the last moments; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, tuple[datetime, Row | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, hash_: bytes, now: datetime) -> tuple[bool, Row | None]:
        """Whether it is known, and what was found."""
        at, row = self._found.get(hash_, (None, None))
        return (at is not None and abs(now - at) < CACHE), row

    def put(self, hash_: bytes, row: Row | None, now: datetime) -> None:
        self._found[hash_] = (now, row)
        self._found.move_to_end(hash_)
        while len(self._found) > MOST_CACHED:
            self._found.popitem(last=False)


class Gatekeeper:
    """Recognises whoever asks.

    Every method may raise `schema.errors.DatabaseUnavailable`.

    Attributes:
        database: under the role kb_gallery.
        oidc: whose JWTs count, if any.
        now: the clock.
        random: so many random octets.
    """

    def __init__(
        self,
        database: Database,
        oidc: Oidc | None,
        now: Callable[[], datetime],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._oidc = oidc
        self._now = now
        self._random = random
        self._known = _Recent()
        self._unknown = _Recent()  # of its own: guesses must not push out what is known

    async def bearer(self, credential: str) -> Principal:
        """Who brings this API token or JWT.

        Raises:
            NotRecognised: nobody.
            gallery.oidc.IssuerAway: a `NotRecognised` which is not the caller's fault: no key could be fetched yet.
        """
        if not credential:
            raise NotRecognised("missing", "send `Authorization: Bearer <token>`; `kb-ingest token create` makes one")
        if tokens.is_token(credential):
            return standing(await self._token(tokens.digest(credential)), self._now())
        if is_jwt(credential):
            if self._oidc is None:
                raise NotRecognised("invalid", "this is a JWT, and no OpenID provider is configured here (OIDC_ISSUER)")
            return await self._oidc.principal(credential, self._now())
        raise NotRecognised("malformed", "this is no API token: those begin with kbi_ and have 47 characters")

    async def _token(self, hash_: bytes) -> Row:
        now = self._now()
        known, row = self._known.get(hash_, now)
        refused, _ = self._unknown.get(hash_, now)
        if not known and not refused:
            row = await tokens.find(self._database, hash_)
            (self._unknown if row is None else self._known).put(hash_, row, now)
            if row is not None and _unseen(row["last_used_at"], now):
                standing(row, now)
                await tokens.used(self._database, row["id"], at=now)
        if row is None:
            raise NotRecognised("unknown", "nobody has this API token; `kb-ingest token list` shows which there are")
        return row

    async def begin_session(self, principal: Principal) -> str:
        """Begin a session of 12 hours, or as long as the credential lasts; the cookie's value."""
        now, cookie = self._now(), tokens.opaque(self._random(tokens.OCTETS))
        await self._database.execute("sessions_forget", now, now - IDLE)
        await self._database.execute(
            "session_begin",
            tokens.digest(cookie),
            principal.token_id,
            stored(principal),
            now,
            min(now + SESSION, principal.expires_at or now + SESSION),
        )
        return cookie

    async def session(self, cookie: str) -> Principal:
        """Who has this cookie. Raises `NotRecognised` if nobody has, or the session or its token has ended."""
        hash_, now = _cookie(cookie), self._now()
        row = await self._database.fetchrow("session_find", hash_)
        try:
            principal = signed_in(row, now)
        except NotRecognised:
            if row is not None:
                await self._database.execute("session_end", hash_)
            raise
        if row is not None and _unseen(row["seen_at"], now):
            await self._database.execute("session_seen", hash_, now)
        return principal

    async def end_session(self, cookie: str) -> None:
        """Sign out. Nothing happens where there is no such session."""
        if _COOKIE.fullmatch(cookie):
            await self._database.execute("session_end", tokens.digest(cookie))


def _unseen(at: datetime | None, now: datetime) -> bool:
    return at is None or at + SEEN_EVERY <= now


def _cookie(cookie: str) -> bytes:
    if not cookie:
        raise NotRecognised("missing", "you are not signed in")
    if not _COOKIE.fullmatch(cookie):
        raise NotRecognised("malformed", "the session's cookie is damaged; sign in again")
    return tokens.digest(cookie)


@dataclass(slots=True)
class _Bucket:
    """So many failures at once, given back evenly over a minute."""

    left: float
    at: datetime

    def take(self, now: datetime) -> float:
        """Take one; else seconds until there is one."""
        left = min(FAILURES, self.left + max(now - self.at, timedelta()) / MINUTE * FAILURES)
        if left < 1:
            return (1 - left) / FAILURES * MINUTE.total_seconds()
        self.left, self.at = left - 1, max(now, self.at)
        return 0


class Attempts:
    """How often a minute one address may be told that it is wrong, before it is told to wait.

    Only for who was found to be wrong: a good credential passes whatever others at its address try, since behind a
    proxy all have one. Guessing is hopeless by the length of a token, not by this, and finding out is one read by a
    hash or one signature. Of IPv6 the first 64 bits are an address, because one client has all of the rest. At most
    4096 addresses are remembered; the ones that were wrong longest ago are forgotten first.
    """

    def __init__(self) -> None:
        self._of: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._of)

    def failed(self, address: str, now: datetime) -> float:
        """This address was wrong: seconds for which it must wait; 0 = it was not wrong too often."""
        client = _client(address)
        bucket = self._of.setdefault(client, _Bucket(FAILURES, now))
        self._of.move_to_end(client)
        while len(self._of) > MOST_ADDRESSES:
            self._of.popitem(last=False)
        return bucket.take(now)


def _client(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or parsed.packed[:8].hex())
