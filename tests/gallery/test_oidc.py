"""JWTs of an OpenID provider: a real one on loopback, with real keys, which rotates, lies and goes away."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import orjson
import pytest
import structlog
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from cli.serving import InProcessServer
from gallery import oidc
from gallery.access import Gatekeeper
from gallery.identity import NotRecognised, Principal
from gallery.issuer import Issuer
from gallery.oidc import IssuerAway, Oidc, transport
from schema.postgres import Database
from tests.conftest import until

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
AUDIENCE = "kb-ingest"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  which is refused
EC_KEY = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    """The public half."""
    maker: Any = OKPAlgorithm
    if isinstance(key, rsa.RSAPrivateKey):
        maker = RSAAlgorithm
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        maker = ECAlgorithm
    return {**maker.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


class Provider:
    """An OpenID provider. `keys`: what it publishes; `answer`: what it says instead of its configuration or keys."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: list[dict[str, Any]] = [
            jwk(RSA_KEY, "rsa", use="sig"), jwk(EC_KEY, "ec", alg="ES256"), jwk(EDWARDS, "ed"),
            jwk(SMALL, "small"), jwk(P384, "p384"), jwk(RSA_KEY, "enc", use="enc"), jwk(RSA_KEY, "odd", alg=7),
            {"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(b"s" * 64).decode()}, {"kid": "none"},
            {"kty": "RSA", "kid": "broken", "n": "!", "e": "!"},
        ]  # fmt: skip
        self.claimed: str | None = None
        self.answers: dict[str, Response] = {}
        self.seconds = 0.0
        self.calls: Counter[str] = Counter()

    async def configuration(self, request: Request) -> Response:
        uri = f"{self.url}/keys"
        return await self._said(request, {"issuer": self.claimed or self.url, "jwks_uri": uri})

    async def jwks(self, request: Request) -> Response:
        return await self._said(request, {"keys": self.keys})

    async def _said(self, request: Request, value: Any) -> Response:
        path = request.url.path
        self.calls[path] += 1
        await asyncio.sleep(self.seconds)
        return self.answers.get(path) or JSONResponse(value)

    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/openid-configuration", self.configuration),
            Route("/keys", self.jwks),
            Route("/token", self.jwks, methods=["POST"]),
        ]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Provider]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        server = InProcessServer(
            uvicorn.Config(Starlette(routes=self.routes()), log_config=None, access_log=False, lifespan="off")
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield self
        finally:
            server.should_exit = True
            await task
            listener.close()

    def token(
        self, key: Any = RSA_KEY, *, kid: str | None = "rsa", alg: str = "RS256", at: datetime = START, **claims: Any
    ) -> str:
        """A JWT; a claim that is None is left out."""
        issued = int(at.timestamp())
        every = {"iss": self.url, "aud": AUDIENCE, "sub": "7", "iat": issued, "exp": issued + 300}
        every["scope"] = "events:read"
        given = {name: value for name, value in (every | claims).items() if value is not None}
        return jwt.encode(given, key, algorithm=alg, headers={"kid": kid} if kid is not None else None)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider().serving() as serving:
        yield serving


@asynccontextmanager
async def believing(provider: Provider, **more: Any) -> AsyncIterator[Oidc]:
    async with transport() as http:
        yield Oidc(Issuer(issuer=provider.url, audience=AUDIENCE, **more), http)


@pytest.fixture
async def believer(provider: Provider) -> AsyncIterator[Oidc]:
    async with believing(provider) as one:
        yield one


async def refused(believer: Oidc, token: str, now: datetime = START) -> NotRecognised:
    with structlog.testing.capture_logs() as logs, pytest.raises(NotRecognised) as caught:
        await believer.principal(token, now)
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {logs}"
    assert all(part not in shown for part in token.split(".") if len(part) > 10)
    return caught.value


@pytest.mark.parametrize(
    ("key", "kid", "alg"),
    [(RSA_KEY, "rsa", "RS256"), (RSA_KEY, "rsa", "PS256"), (EC_KEY, "ec", "ES256"), (EDWARDS, "ed", "EdDSA")],
)
async def test_four_algorithms_are_believed(provider: Provider, believer: Oidc, key: Any, kid: str, alg: str) -> None:
    """With the kind of key that belongs to each."""
    found = await believer.principal(provider.token(key, kid=kid, alg=alg, name="Nadia"), START)
    assert found == Principal(
        subject="oidc:7", name="Nadia", scopes=frozenset({"events:read"}), expires_at=START + timedelta(seconds=360)
    )


@pytest.mark.parametrize(
    ("key", "kid", "alg"),
    [
        (RSA_KEY, "rsa", "RS384"), (RSA_KEY, "rsa", "RS512"), (EC_KEY, "rsa", "ES256"), (RSA_KEY, "ec", "RS256"),
        (SMALL, "small", "RS256"), (P384, "p384", "ES384"), (RSA_KEY, "enc", "RS256"), (RSA_KEY, "odd", "RS256"),
        (b"s" * 64, "oct", "HS256"), (b"s" * 64, "rsa", "HS256"), (RSA_KEY, None, "RS256"), (RSA_KEY, "no", "RS256"),
        (rsa.generate_private_key(public_exponent=65537, key_size=2048), "rsa", "RS256"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
async def test_other_keys_and_algorithms_are_not(
    provider: Provider, believer: Oidc, key: Any, kid: Any, alg: str
) -> None:
    """Neither a shared secret, nor a weak key, nor one for something else, nor a signature by somebody else."""
    assert (await refused(believer, provider.token(key, kid=kid, alg=alg))).reason == "invalid"


async def test_forgeries_are_refused(provider: Provider, believer: Oidc) -> None:
    """`none`; the public key as a shared secret; a body changed after signing; a header nobody understands."""

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()

    header, body, signature = provider.token().split(".")
    claims = orjson.loads(base64.urlsafe_b64decode(body + "=="))
    pem = RSA_KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head = part({"alg": "HS256", "kid": "rsa"})
    mac = base64.urlsafe_b64encode(hmac.digest(pem, f"{head}.{body}".encode(), hashlib.sha256)).rstrip(b"=").decode()
    for forged in (
        f"{part({'alg': 'none', 'kid': 'rsa'})}.{body}.",
        f"{head}.{body}.{mac}",
        f"{header}.{part(claims | {'sub': 'admin'})}.{signature}",
        f"{header}.{body}.",
        f"{part({'alg': ['RS256'], 'kid': 'rsa'})}.{body}.{signature}",
        f"{part({'alg': 'RS256', 'kid': ['rsa']})}.{body}.{signature}",
        f"{part({'alg': 'RS256', 'kid': 'rsa', 'crit': ['x'], 'x': 1})}.{body}.{signature}",
    ):
        assert (await refused(believer, forged)).reason in ("invalid", "malformed")
    for nonsense in ("a.b.c", f"{part([])}.{body}.{signature}", f"{part(7)}.{body}.{signature}"):
        assert (await refused(believer, nonsense)).reason == "malformed"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://evil.test"}, "issuer"), ({"iss": None}, "iss"), ({"aud": "other"}, "audience"),
        ({"aud": None}, "aud"), ({"aud": []}, "aud"), ({"exp": None}, "exp"), ({"iat": None}, "iat"),
        ({"sub": None}, "sub"), ({"sub": ""}, "sub"), ({"sub": "x" * 201}, "sub"), ({"exp": True}, "exp"),
        ({"exp": "later"}, "exp"), ({"exp": float("nan")}, "exp"), ({"exp": float("inf")}, "exp"),
        ({"exp": 10**400}, "exp"), ({"iat": 4e9}, "future"), ({"nbf": 4e9}, "future"), ({"nbf": []}, "nbf"),
    ],
)  # fmt: skip
async def test_claims_must_be_there_and_right(
    provider: Provider, believer: Oidc, claims: dict[str, Any], said: str
) -> None:
    """The message names what is wrong."""
    error = await refused(believer, provider.token(**claims))
    assert error.reason == "invalid"
    assert said in str(error)


async def test_clocks_may_differ_by_a_minute(provider: Provider, believer: Oidc) -> None:
    """And no more: at the end, and at the beginning."""
    token = provider.token(nbf=int(START.timestamp()))
    for seconds in (-60, 0, 359):
        await believer.principal(token, START + timedelta(seconds=seconds))
    assert (await refused(believer, token, START + timedelta(seconds=360))).reason == "expired"
    assert (await refused(believer, token, START - timedelta(seconds=61))).reason == "invalid"


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "openid events:read  knowledge:read"}, {"events:read", "knowledge:read"}),
        ({"scope": ["events:read", 7, "events:write"]}, {"events:read"}),
        ({"scope": None, "scp": ["events:replay"]}, {"events:replay"}),
        ({"scope": None, "scp": "events:replay"}, {"events:replay"}),
        ({"scope": "", "scp": "events:replay"}, set()),
        ({"scope": None}, set()),
        ({"scope": {"events:read": True}}, set()),
    ],
)
async def test_scopes_in_both_forms(
    provider: Provider, believer: Oidc, claims: dict[str, Any], scopes: set[str]
) -> None:
    """Words or a list, in `scope` or else `scp`; only those we know count."""
    assert (await believer.principal(provider.token(**claims), START)).scopes == scopes


async def test_other_claims_as_configured(provider: Provider) -> None:
    """Scopes are where it was said, and nowhere else; a token without an organisation is not a free one."""
    async with believing(provider, scope_claim="permissions", org_claim="org") as believer:
        token = provider.token(permissions=["events:replay"], org="acme", email="n@acme.test")
        found = await believer.principal(token, START)
        assert (set(found.scopes), found.org_id, found.name) == ({"events:replay"}, "acme", "n@acme.test")
        assert (await believer.principal(provider.token(scp="events:replay", org="acme"), START)).scopes == frozenset()
        for org in (None, "", ["acme"], 7):
            assert "org" in str(await refused(believer, provider.token(org=org)))


async def test_keys_rotate(provider: Provider, believer: Oidc) -> None:
    """A new key is found by its first token; unknown ones cost one fetch in 30 s, however many there are."""
    await believer.principal(provider.token(), START)
    provider.keys = [jwk(EC_KEY, "new")]
    token, now = provider.token(EC_KEY, kid="new", alg="ES256"), START + timedelta(seconds=30)
    await believer.principal(token, now)
    assert provider.calls["/keys"] == 2
    for turn in range(50):
        await refused(believer, provider.token(kid=f"no {turn}"), now + timedelta(seconds=29))
    assert provider.calls["/keys"] == 2
    await refused(believer, provider.token(), now + timedelta(seconds=29))  # the old key is gone with its issuer's word
    await asyncio.gather(*(refused(believer, provider.token(kid="no"), now + timedelta(seconds=30)) for _ in range(20)))
    assert provider.calls["/keys"] == 3


async def test_keys_are_fetched_once_for_many_and_again_after_an_hour(provider: Provider, believer: Oidc) -> None:
    """Whoever comes first waits; nobody asks twice."""
    provider.seconds = 0.1
    await asyncio.gather(*(believer.principal(provider.token(), START) for _ in range(20)))
    assert provider.calls["/keys"] == 1
    later = START + timedelta(hours=1)
    await asyncio.gather(*(believer.principal(provider.token(at=later), later) for _ in range(20)))
    assert provider.calls["/keys"] == 2


async def test_the_last_good_keys_stay_while_the_issuer_is_away(believer: Oidc, provider: Provider) -> None:
    """Whatever it answers instead, and however long."""
    await believer.principal(provider.token(), START)
    for hours, path, answer in (
        (2, "/keys", Response(status_code=503)),
        (3, "/keys", Response("<html>")),
        (4, "/keys", JSONResponse({"keys": []})),
        (5, "/keys", JSONResponse(["keys"])),
        (6, "/keys", Response(b" " * (oidc.MOST_OCTETS + 1))),
        (7, "/keys", RedirectResponse("/elsewhere")),
        (
            8,
            "/.well-known/openid-configuration",
            JSONResponse({"issuer": provider.url, "jwks_uri": "file:///etc/keys"}),
        ),
        (9, "/.well-known/openid-configuration", JSONResponse({"issuer": provider.url, "jwks_uri": 7})),
        (10, "/.well-known/openid-configuration", JSONResponse([])),
    ):
        provider.answers, later = {path: answer}, START + timedelta(hours=hours)
        asked = provider.calls[path]
        with structlog.testing.capture_logs() as logs:
            await believer.principal(provider.token(at=later), later)
        assert provider.calls[path] == asked + 1
        assert [line["event"] for line in logs] == ["oidc.keys_not_fetched"]


async def test_an_issuer_that_was_never_there(provider: Provider, believer: Oidc) -> None:
    """Nobody can tell yet, which is said; asked again after five seconds it is there."""
    provider.answers = {"/keys": Response(status_code=503)}
    token = provider.token()
    for _ in range(10):
        assert isinstance(await refused(believer, token), IssuerAway)
    assert provider.calls["/keys"] == 1
    provider.answers = {}
    assert (await believer.principal(token, START + timedelta(seconds=5))).subject == "oidc:7"


async def test_nobody_listens() -> None:
    """A closed port is an issuer that is away."""
    provider = Provider()
    provider.url = "http://127.0.0.1:1"
    async with believing(provider) as believer:
        assert isinstance(await refused(believer, provider.token()), IssuerAway)


async def test_a_silent_issuer_holds_nobody_long(
    provider: Provider, believer: Oidc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetching has a deadline, and who has keys waits for none."""
    monkeypatch.setattr(oidc, "FETCH_SECONDS", 0.3)
    await believer.principal(provider.token(), START)
    provider.seconds, later = 5, START + timedelta(hours=2)
    first = asyncio.create_task(believer.principal(provider.token(at=later), later))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(0.2):
        await believer.principal(provider.token(at=later), later)
    async with asyncio.timeout(2):
        await first


async def test_a_configuration_of_somebody_else_is_not_believed(provider: Provider, believer: Oidc) -> None:
    """The issuer is compared to the letter."""
    provider.claimed = f"{provider.url}/"
    assert isinstance(await refused(believer, provider.token()), IssuerAway)


async def test_the_gatekeeper_takes_jwts(provider: Provider, believer: Oidc, database: Database) -> None:
    """And begins a session, which ends with the JWT."""
    now = START
    gate = Gatekeeper(database, believer, lambda: now, os.urandom)
    principal = await gate.bearer(provider.token())
    cookie = await gate.begin_session(principal)
    assert await gate.session(cookie) == principal
    now = START + timedelta(seconds=360)
    with pytest.raises(NotRecognised, match="over"):
        await gate.session(cookie)
