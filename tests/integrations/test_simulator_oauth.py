"""The simulated OAuth app: allowed on ClickUp's page, its code exchanged once, its token good at once."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from integrations.clickup.simulator.oauth import OAuthApp
from integrations.clickup.simulator.server import Simulator

APP = OAuthApp(client_id="APP", client_secret="SHH", redirect_uris=("https://kb.example.com/",))
BACK = "https://kb.example.com/oauth/callback"


def simulator(app: OAuthApp | None = APP) -> Simulator:
    return Simulator(seed=4, token="pk_owner", oauth_app=app)


async def allowed(http: httpx.AsyncClient, url: str, **query: str) -> dict[str, list[str]]:
    answer = await http.get(url, params=query)
    assert answer.status_code == 302
    where = urlsplit(answer.headers["location"])
    assert f"{where.scheme}://{where.netloc}{where.path}" == query["redirect_uri"]
    return parse_qs(where.query)


@pytest.mark.parametrize("form", ["json", "data"])
async def test_the_whole_way(form: str) -> None:
    """Page, code and exchange, by JSON or form, give a token that acts for who allowed it, until it is revoked."""
    sim = simulator()
    someone = sim.workspace.colleagues()[2].id
    sim.oauth.user_id = someone
    async with sim.serving() as url, httpx.AsyncClient() as http:
        back = await allowed(http, url, client_id="APP", redirect_uri=BACK, state="s p&ce")
        assert back["state"] == ["s p&ce"]
        sent: dict[str, Any] = {form: {"client_id": "APP", "client_secret": "SHH", "code": back["code"][0]}}
        made = await http.post(f"{url}/v2/oauth/token", **sent)
        again = await http.post(f"{url}/v2/oauth/token", **sent)
        token = made.json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert (await http.get(f"{url}/v2/user", headers=headers)).json()["user"]["id"] == someone
        sim.oauth.revoke(token)
        assert (await http.get(f"{url}/v2/user", headers=headers)).status_code == 401
    assert made.json().keys() == {"access_token"}
    assert again.status_code == 401
    assert sim.calls["POST", "/v2/oauth/token", 200] == 1


async def test_refusals() -> None:
    """An unknown app, a missing or strange redirect, a wrong secret and a body that is none are refused."""
    async with simulator().serving() as url, httpx.AsyncClient() as http:
        for query, code in (
            ({"client_id": "OTHER", "redirect_uri": BACK}, "OAUTH_010"),
            ({"client_id": "APP"}, "OAUTH_017"),
            ({"client_id": "APP", "redirect_uri": "https://evil.example.com/"}, "OAUTH_007"),
        ):
            answer = await http.get(url, params=query)
            assert (answer.status_code // 100, answer.json()["ECODE"]) == (4, code)
        for body in ({"client_id": "X"}, {"client_id": "APP", "client_secret": "no"}):
            assert (await http.post(f"{url}/v2/oauth/token", json=body)).status_code == 401
        nothing = await http.post(f"{url}/v2/oauth/token", content=b"[", headers={"Content-Type": "application/json"})
        assert nothing.status_code == 400


async def test_an_app_from_the_seed() -> None:
    """Without an app one is made up from the seed, which may send people back to anywhere."""
    sim, same = simulator(None), simulator(None)
    assert sim.oauth.app == same.oauth.app
    async with sim.serving() as url, httpx.AsyncClient() as http:
        target = "http://127.0.0.1:8081/back?x=1"
        answer = await http.get(url, params={"client_id": sim.oauth.app.client_id, "redirect_uri": target})
    assert answer.headers["location"].startswith(f"{target}&code=")
