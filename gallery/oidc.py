"""JWTs of an OpenID provider: the only file that imports PyJWT.

Promises: only RS256, PS256, ES256 and EdDSA, with a key of the right kind that the issuer published; issuer,
audience, `exp`, `iat` and `sub` must be there and right; keys are fetched at most once in 30 s however many tokens
name an unknown one, and the last good ones stay while the issuer is away; no token is in an error or a log line.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.types import Options

from gallery.identity import SCOPES, NotRecognised, Principal
from gallery.issuer import Issuer

LEEWAY: Final = timedelta(seconds=60)
MAX_AGE: Final = timedelta(hours=1)
PAUSE: Final = timedelta(seconds=30)
FIRST_PAUSE: Final = timedelta(seconds=5)
"""Between two fetches as long as none succeeded."""
FETCH_SECONDS: Final = 5.0
MOST_OCTETS: Final = 256 * 1024
LONGEST_JWT: Final = 8192
LONGEST_NAME: Final = 200
SMALLEST_RSA: Final = 2048
FARTHEST: Final = timedelta(days=366)

_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")

Credentials = tuple[str, str] | None
Answer = TypeVar("Answer")

log = structlog.get_logger()


class IssuerAway(NotRecognised):
    """No key of the issuer could be fetched yet, so nobody can tell."""

    def __init__(self) -> None:
        super().__init__("invalid", "the OpenID provider's keys cannot be fetched now; try again in a few seconds")


class Away(Exception):
    """The issuer does not answer as it should; the message says what to do."""


class _Unusable(Exception):
    """What the issuer answered; the message says what is wrong with it."""


def is_jwt(credential: str) -> bool:
    """Whether it has the form of a signed JWT."""
    return len(credential) <= LONGEST_JWT and _FORM.fullmatch(credential) is not None


@dataclass(frozen=True, slots=True)
class _Key:
    key: Any
    algorithms: frozenset[str]


def keys(document: object) -> dict[str, _Key]:
    """The usable signing keys of a JWK set, by `kid`; others are left out."""
    listed = document.get("keys") if isinstance(document, dict) else None
    found: dict[str, _Key] = {}
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or not isinstance(one.get("kid"), str) or one.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(one).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        algorithms = _algorithms(key)
        if "alg" in one:
            algorithms &= {one["alg"]} if isinstance(one["alg"], str) else set()
        if algorithms:
            found[one["kid"]] = _Key(key, algorithms)
    return found


def _algorithms(key: object) -> frozenset[str]:
    match key:
        case RSAPublicKey() if key.key_size >= SMALLEST_RSA:
            return frozenset({"RS256", "PS256"})
        case EllipticCurvePublicKey() if isinstance(key.curve, SECP256R1):
            return frozenset({"ES256"})
        case Ed25519PublicKey():
            return frozenset({"EdDSA"})
        case _:
            return frozenset()


def recognised(claims: Mapping[str, Any], configured: Issuer, now: datetime) -> Principal:
    """Whom verified claims stand for. Raises `NotRecognised` if the time is not right or something is missing."""
    expires, issued, begins = (_seconds(claims.get(name), name) for name in ("exp", "iat", "nbf"))
    if expires is None or issued is None:
        raise NotRecognised("invalid", "the JWT must have `exp` and `iat`")
    clock, leeway = now.timestamp(), LEEWAY.total_seconds()
    if expires + leeway <= clock:
        raise NotRecognised("expired", "the JWT has expired; get a new one from the OpenID provider")
    if max(issued, begins or 0) - leeway > clock:
        raise NotRecognised("invalid", "the JWT is from the future: compare the clocks of both sides")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_NAME:
        raise NotRecognised("invalid", "the JWT must have `sub`")
    org = claims.get(configured.org_claim) if configured.org_claim is not None else None
    if configured.org_claim is not None and not (isinstance(org, str) and org):
        raise NotRecognised("invalid", f"the JWT must name an organisation in `{configured.org_claim}`")
    names = (claims.get(name) for name in ("name", "preferred_username", "email"))
    return Principal(
        subject=f"oidc:{subject}",
        name=next((name for name in names if isinstance(name, str) and name), subject)[:LONGEST_NAME],
        scopes=_scopes(claims, configured.scope_claim) & SCOPES.keys(),
        org_id=org,
        expires_at=datetime.fromtimestamp(min(expires + leeway, clock + FARTHEST.total_seconds()), UTC),
    )


def _seconds(value: object, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15 or math.isnan(value):
        raise NotRecognised("invalid", f"the JWT's `{name}` is not a time")
    return float(value)


def _scopes(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    given = claims.get("scp") if claim == "scope" and "scope" not in claims else claims.get(claim)
    words = given.split() if isinstance(given, str) else given if isinstance(given, list) else ()
    return frozenset(word for word in words if isinstance(word, str))


def transport() -> httpx.AsyncClient:
    """Connections to the issuer; whoever opens it closes it."""
    return httpx.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False, limits=httpx.Limits(max_connections=2))


class Oidc:
    """Recognises JWTs of one issuer. `http`: see `transport`."""

    def __init__(self, configured: Issuer, http: httpx.AsyncClient) -> None:
        self._configured = configured
        self._http = http
        self._keys: Mapping[str, _Key] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._lock = asyncio.Lock()

    async def principal(self, credential: str, now: datetime) -> Principal:
        """Who brings this JWT.

        Raises:
            NotRecognised: it is not good; the message says why.
            IssuerAway: no key was ever fetched, and none can be now.
        """
        try:
            header = jwt.get_unverified_header(credential)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise NotRecognised("malformed", "this is no JWT") from None
        kid, algorithm = header.get("kid"), header.get("alg")
        key = await self._key(kid, now) if isinstance(kid, str) else None
        if key is None:
            raise NotRecognised("invalid", "the JWT names no key (`kid`) that the OpenID provider has")
        if not isinstance(algorithm, str) or algorithm not in key.algorithms:
            raise NotRecognised("invalid", f"the JWT must be signed with {' or '.join(sorted(key.algorithms))}")
        return recognised(self._verified(credential, key, algorithm), self._configured, now)

    def _verified(self, credential: str, key: _Key, algorithm: str) -> dict[str, Any]:
        options: Options = {
            "require": ["iss", "aud", "exp", "iat", "sub"],
            "verify_exp": False,  # `recognised` looks at times, by our clock
            "verify_nbf": False,
            "verify_iat": False,
        }
        try:
            return jwt.decode(
                credential,
                key.key,
                algorithms=[algorithm],
                audience=self._configured.audience,
                issuer=self._configured.issuer,
                options=options,
            )
        except jwt.InvalidIssuerError:
            raise NotRecognised("invalid", "the JWT is of another issuer than OIDC_ISSUER") from None
        except jwt.InvalidAudienceError:
            raise NotRecognised("invalid", "the JWT is for another audience than OIDC_AUDIENCE") from None
        except jwt.MissingRequiredClaimError as error:
            raise NotRecognised("invalid", f"the JWT must have `{error.claim}`") from None
        except jwt.InvalidSignatureError:
            raise NotRecognised("invalid", "the JWT's signature is wrong") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise NotRecognised("invalid", "the JWT cannot be understood") from None

    async def _key(self, kid: str, now: datetime) -> _Key | None:
        # whoever has a key goes on with it while another one fetches; whoever has none waits for that
        if kid not in self._keys or (self._due(kid, now) and not self._lock.locked()):
            async with self._lock:
                if self._due(kid, now):
                    await self._refresh(now)
        if not self._keys:
            raise IssuerAway
        return self._keys.get(kid)

    def _due(self, kid: str, now: datetime) -> bool:
        pause = PAUSE if self._keys else FIRST_PAUSE
        if self._tried_at is not None and now - self._tried_at < pause:
            return False
        return kid not in self._keys or self._fetched_at is None or now - self._fetched_at >= MAX_AGE

    async def _refresh(self, now: datetime) -> None:
        self._tried_at = now
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                found = keys(await self._document((await self._configuration("jwks_uri"))["jwks_uri"]))
            if not found:
                raise _Unusable("its JWK set has no usable key")  # noqa: TRY301
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, _Unusable) as error:
            said = str(error) if isinstance(error, _Unusable) else type(error).__name__
            log.warning("oidc.keys_not_fetched", issuer=self._configured.issuer, error=said, keys=len(self._keys))
        else:
            self._keys, self._fetched_at = found, now

    async def endpoints(self, *names: str) -> dict[str, str]:
        """Addresses out of the issuer's configuration. Raises `Away`."""
        return await self._answered(self._configuration(*names))

    async def granted(self, url: str, form: Mapping[str, str], credentials: Credentials) -> object:
        """What the issuer answers to a form. Raises `Away`."""
        return await self._answered(self._document(url, form, credentials))

    async def _answered(self, asking: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await asking
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, _Unusable) as error:
            said = str(error) if isinstance(error, _Unusable) else type(error).__name__
            log.warning("oidc.not_answered", issuer=self._configured.issuer, error=said)
            raise Away("the sign-in service does not answer as it should; try again, or take an API token") from None

    async def _configuration(self, *names: str) -> dict[str, str]:
        issuer = self._configured.issuer
        document = await self._document(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if not isinstance(document, dict) or document.get("issuer") != issuer:
            raise _Unusable("its configuration is of another issuer than OIDC_ISSUER, to the letter")
        for name in names:
            uri = document.get(name)
            if not isinstance(uri, str) or not uri.startswith(("https://", f"{urlsplit(issuer).scheme}://")):
                raise _Unusable(f"its configuration has no good {name}")
        return {name: document[name] for name in names}

    async def _document(
        self, url: str, form: Mapping[str, str] | None = None, credentials: Credentials = None
    ) -> object:
        body = bytearray()
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}  # a small answer must not grow
        method = "GET" if form is None else "POST"
        async with self._http.stream(method, url, headers=headers, data=form, auth=credentials) as answer:
            if answer.status_code != httpx.codes.OK:
                raise _Unusable(f"it answered {answer.status_code}")
            async for part in answer.aiter_raw():
                body += part
                if len(body) > MOST_OCTETS:
                    raise _Unusable(f"it answered more than {MOST_OCTETS} octets")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            raise _Unusable("it did not answer JSON") from None
