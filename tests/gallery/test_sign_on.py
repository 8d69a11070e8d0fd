"""Signing in to the page at an OpenID provider: a real one on loopback that checks what it is sent."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from cli.settings import ConfigurationError, Secret, load
from gallery.authentication import COOKIE
from gallery.issuer import BACK, Client, Issuer
from gallery.oidc import Oidc, transport
from gallery.problems import Problem
from gallery.sign_on import LEFT, SignOn
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.gallery.gallery import API, Gallery, serving
from tests.gallery.test_oidc import AUDIENCE, START, Provider

SECRET = "PLANTED0CLIENT0SECRET"
HERE = "http://gallery"


class Granting(Provider):
    """A provider that gives an access token for the code it gave, to whoever asked for it.

    Its page is at `localhost`, to a browser another site than 127.0.0.1. `here`: where the gallery is.
    """

    def __init__(self, here: str = HERE) -> None:
        super().__init__()
        self.here = here
        self.challenge = ""
        self.claims: dict[str, Any] = {"name": "Ada", "scope": "integrations:read events:read"}

    async def configuration(self, request: Request) -> Response:
        names = {"token_endpoint": "token", "jwks_uri": "keys"}
        addresses = {name: f"{self.url}/{path}" for name, path in names.items()}
        said = {"issuer": self.url, "authorization_endpoint": self.door, **addresses}
        return await self._said(request, said)

    @property
    def door(self) -> str:
        return f"{self.url.replace('127.0.0.1', 'localhost')}/authorize"

    def routes(self) -> list[Route]:
        return [*super().routes(), Route("/authorize", self.authorize)]

    async def authorize(self, request: Request) -> Response:
        asked = request.query_params
        self.challenge = asked["code_challenge"]
        back = f"{asked['redirect_uri']}?{urlencode({'code': '4711', 'state': asked['state']})}"
        return HTMLResponse(
            '<link rel="icon" href="data:,"><title>The company</title><h1>The company</h1>'
            f'<a href="{escape(back)}">Go on as Ada</a>'
        )

    async def jwks(self, request: Request) -> Response:
        if request.method == "GET":
            return await super().jwks(request)
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        good = (
            request.headers["authorization"] == "Basic " + base64.b64encode(f"us:{SECRET}".encode()).decode()
            and form["redirect_uri"] == self.here + BACK
            and form["code"] == "4711"
            and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == self.challenge
        )
        if not good:
            return JSONResponse({"error": "invalid_grant"}, 400)
        token = self.token(at=datetime.now(UTC), **self.claims)
        return JSONResponse({"access_token": token, "token_type": "Bearer"})


@pytest.fixture
async def provider() -> AsyncIterator[Granting]:
    async with Granting().serving() as opened:
        assert isinstance(opened, Granting)
        yield opened


@pytest.fixture
async def gallery(database: Database, database_url: str, provider: Granting) -> AsyncIterator[Gallery]:
    more = {
        "oidc_issuer": Secret(provider.url),
        "oidc_audience": AUDIENCE,
        "oidc_client_id": "us",
        "oidc_client_secret": Secret(SECRET),
        "gallery_url": Secret(HERE),
    }
    async with serving(database, database_url, "http://127.0.0.1:1/api", **more) as opened:
        yield opened


async def left(browser: httpx.AsyncClient, provider: Granting, target: str = "/events") -> dict[str, str]:
    """A browser goes away; what the provider is asked."""
    answer = await browser.get("/sign-in/away", params={"next": target})
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(f"{provider.door}?")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    provider.challenge = asked["code_challenge"]
    return asked


async def test_away_and_back(gallery: Gallery, provider: Granting) -> None:
    """The visitor comes back signed in, as who the provider says, and ends where they wanted."""
    async with gallery.client() as browser:
        assert "/sign-in/away?next=" in (await browser.get("/sign-in?next=/events")).text
        asked = await left(browser, provider)
        assert (asked["response_type"], asked["client_id"]) == ("code", "us")
        assert (asked["redirect_uri"], asked["code_challenge_method"]) == (HERE + BACK, "S256")
        assert {"openid", "integrations:read"} <= set(asked["scope"].split())
        back = await browser.get(BACK, params={"code": "4711", "state": asked["state"]})
        assert back.status_code == 200, back.text
        assert 'content="0;url=/events"' in back.text
        cookies = back.headers.get_list("set-cookie")
        assert any(one.startswith(f"{COOKIE}=") and "HttpOnly" in one and "SameSite=strict" in one for one in cookies)
        me = (await browser.get(f"{API}/me")).json()
        assert (me["name"], me["scopes"]) == ("Ada", ["events:read", "integrations:read"])
        again = await browser.get(BACK, params={"code": "4711", "state": asked["state"]})
        assert again.status_code == 400  # the cookie is gone: nobody goes this way twice


async def test_no_other_site_is_gone_to(gallery: Gallery, provider: Granting) -> None:
    """A link that would lead elsewhere after signing in leads to the gallery."""
    async with gallery.client() as browser:
        asked = await left(browser, provider, "//evil.example.com/")
        back = await browser.get(BACK, params={"code": "4711", "state": asked["state"]})
        assert 'content="0;url=/"' in back.text


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ({"code": "4711", "state": "another"}, 400, "not the end of a sign-in"),
        ({"code": "4711"}, 400, "not the end of a sign-in"),
        ({"error": "access_denied"}, 400, "access_denied"),
        ({"error": "<script>"}, 400, "the sign-in service said an error"),
        ({"code": "4712"}, 503, "does not answer as it should"),
    ],
)
async def test_what_came_back_is_not_it(
    gallery: Gallery, provider: Granting, answer: dict[str, str], status: int, said: str
) -> None:
    """A page says what is wrong, and nobody is signed in."""
    async with gallery.client() as browser:
        asked = await left(browser, provider)
        good = {"state": asked["state"]} if "not the end" not in said else {}
        back = await browser.get(BACK, params=good | answer)
        assert (back.status_code, COOKIE in back.cookies) == (status, False)
        assert said.lower() in back.text.lower()
        assert "<script>" not in back.text.replace("<script ", "")
        assert SECRET not in back.text


async def test_what_the_provider_grants_is_looked_at(gallery: Gallery, provider: Granting) -> None:
    """A token for somebody else signs nobody in; a provider that is away is told of."""
    async with gallery.client() as browser:
        asked = await left(browser, provider)
        provider.claims = {"aud": "another program"}
        back = await browser.get(BACK, params={"code": "4711", "state": asked["state"]})
        assert (back.status_code, COOKIE in back.cookies) == (401, False)
        provider.answers["/.well-known/openid-configuration"] = JSONResponse({"issuer": "somebody"})
        assert (await browser.get("/sign-in/away")).status_code == 503


async def test_it_ends_within_ten_minutes_and_in_that_browser(provider: Granting, keyring: Keyring) -> None:
    """The cookie is sealed: old, cut, foreign or forged ones are no beginning."""
    client = Client(client_id="us", secret=None, gallery_url=HERE)
    async with transport() as http:
        issuer = Issuer(issuer=provider.url, audience=AUDIENCE)
        sign_on = SignOn(client=client, oidc=Oidc(issuer, http), keyring=keyring)
        url, cookie = await sign_on.away("/", START)
        state = parse_qs(urlsplit(url).query)["state"][0]
        for late, kept in ((11, cookie), (1, cookie[:-3]), (1, ""), (1, "€"), (1, "A" * 80)):
            with pytest.raises(Problem, match="sign in again"):
                await sign_on.back({"state": state, "code": "1"}, kept, START + timedelta(minutes=late))


async def test_without_a_client_only_tokens(database: Database, database_url: str) -> None:
    """Nothing is offered that does not work."""
    async with serving(database, database_url, "http://127.0.0.1:1/api") as gallery, gallery.client() as browser:
        assert "/sign-in/away" not in (await browser.get("/sign-in")).text
        answer = await browser.get("/sign-in/away")
        assert (answer.status_code, LEFT in answer.cookies) == (404, False)


def test_a_client_needs_its_issuer(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """What is missing is named at the start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OIDC_CLIENT_ID", "us")
    with pytest.raises(ConfigurationError, match="OIDC_ISSUER is not set"):
        load()
    monkeypatch.setenv("OIDC_ISSUER", "https://login.example.com")
    monkeypatch.setenv("OIDC_AUDIENCE", "kb-ingest")
    with pytest.raises(ConfigurationError, match="GALLERY_URL is not set"):
        load()
