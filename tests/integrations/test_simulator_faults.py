"""What the simulated ClickUp gets wrong on the line, with its limit and with its webhooks, and what it counts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.server import Simulator

TOKEN = "pk_48000000_TEST"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 15, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def simulator(clock: Clock | None = None, **options: Any) -> Simulator:
    return Simulator(seed=11, token=options.pop("token", TOKEN), clock=clock or Clock(), **options)


@asynccontextmanager
async def serving(sim: Simulator, token: str = TOKEN, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        sim.serving() as url,
        httpx.AsyncClient(base_url=f"{url}/v2", headers={"Authorization": token}, **options) as http,
    ):
        yield http


async def test_connections_break() -> None:
    """A reset answers nothing, a cut ends in the middle of the body; the next request is served."""
    faults = Faults()
    sim = simulator(faults=faults)
    async with serving(sim) as http:
        faults.reset_rate = 1.0
        with pytest.raises(httpx.ReadError):
            await http.get("/team")
        faults.reset_rate, faults.cut_rate = 0.0, 1.0
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/team")
        faults.cut_rate = 0.0
        assert (await http.get("/team")).status_code == 200
    assert sim.calls == {("GET", "/v2/team", 0): 1, ("GET", "/v2/team", 200): 2}


async def test_answers_stall() -> None:
    """A stalled answer keeps silent in the middle; a patient caller gets all of it, another one runs out of time."""
    faults = Faults(stall_rate=1.0, stall_seconds=0.3)
    async with serving(simulator(faults=faults), timeout=0.1) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get("/team")
        assert (await http.get("/team", timeout=5)).json()["teams"]


async def test_error_burst() -> None:
    """The next so many requests fail, and then it is over."""
    faults = Faults(api_error_burst=3)
    async with serving(simulator(faults=faults)) as http:
        statuses = [(await http.get("/user")).status_code for _ in range(5)]
    assert all(500 <= status < 504 for status in statuses[:3])
    assert statuses[3:] == [200, 200]
    assert faults.api_error_burst == 0


async def test_limit_headers_can_be_off() -> None:
    """Without its headers the limit still holds."""
    faults = Faults(ratelimit_headers=False)
    async with serving(simulator(faults=faults, limit_per_minute=1)) as http:
        answers = [await http.get("/user") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 429]
    assert not any("x-ratelimit-limit" in one.headers for one in answers)


async def test_fixed_window_of_any_length() -> None:
    """A fixed window gives its whole budget anew at its end, and each window's use is on record."""
    clock = Clock()
    sim = simulator(clock, limit_per_minute=2, window_seconds=5)
    async with serving(sim) as http:
        first = [(await http.get("/user")).status_code for _ in range(3)]
        clock.forward(4.9)
        late = (await http.get("/user")).status_code
        clock.forward(0.1)
        anew = [(await http.get("/user")).status_code for _ in range(2)]
    assert (first, late, anew) == ([200, 200, 429], 429, [200, 200])
    assert [(one.token, one.admitted, one.refused) for one in sim.meter.windows] == [(TOKEN, 2, 2), (TOKEN, 2, 0)]
    assert (sim.meter.admitted, sim.meter.refused) == (4, 2)
    assert sim.calls == {("GET", "/v2/user", 200): 4, ("GET", "/v2/user", 429): 2}


async def test_sliding_window() -> None:
    """A sliding window gives back each request on its own, and Reset tells when the next one is free."""
    clock = Clock()
    sim = simulator(clock, limit_per_minute=2, window_seconds=10, sliding=True)
    async with serving(sim) as http:
        assert (await http.get("/user")).status_code == 200
        clock.forward(6)
        assert (await http.get("/user")).status_code == 200
        refused = await http.get("/user")
        clock.forward(4)
        assert (await http.get("/user")).status_code == 200
        assert (await http.get("/user")).status_code == 429
    assert refused.status_code == 429
    assert int(refused.headers["x-ratelimit-reset"]) == datetime(2026, 3, 15, 10, 0, 10, tzinfo=UTC).timestamp()


async def test_disabled_member() -> None:
    """A disabled member's token is unknown and their hook silent without losing its health, until enabled again."""
    sim = simulator(backoff=(0.0,))
    ws = sim.workspace
    hook = sim.register_webhook("http://127.0.0.1:9/nobody")
    ws.disable_member(ws.owner.id)
    async with serving(sim) as http:
        refused = await http.get("/user")
        await sim.apply(ws.create_space("Quiet"))
        await sim.deliveries.drain()
        assert (hook.status, hook.fail_count) == ("active", 0)
        assert sim.deliveries.outcomes == {"withheld": 3}
        ws.enable_member(ws.owner.id)
        assert (await http.get("/user")).status_code == 200
        await sim.apply(ws.create_space("Loud"))
        await sim.deliveries.drain()
    assert (refused.status_code, refused.json()["ECODE"]) == (401, "OAUTH_019")
    assert hook.fail_count == 3
    await sim.close()


async def test_hooks_go_wrong() -> None:
    """A hook can get another secret, hide it, be suspended, be there twice, and be deleted by hand."""
    sim = simulator()
    ws = sim.workspace
    hook = sim.register_webhook("https://example.com/hook")
    before = hook.secret
    path = f"/team/{ws.team_id}/webhook"

    async def listed(http: httpx.AsyncClient) -> list[dict[str, Any]]:
        return list((await http.get(path)).json()["webhooks"])

    async with serving(sim) as http:
        assert ws.change_secret(hook.id) != before
        assert [one["secret"] for one in await listed(http)] == [hook.secret]
        ws.suspend_webhook(hook.id)
        other = ws.duplicate_webhook(hook.id)
        rows = await listed(http)
        assert [one["id"] for one in rows] == [hook.id, other.id]
        assert len({one["endpoint"] for one in rows}) == 1
        assert [one["health"]["status"] for one in rows] == ["suspended", "active"]
        sim.faults.hide_secrets = True
        assert not any("secret" in one for one in await listed(http))
        made = (await http.post(path, json={"endpoint": "https://example.com/new", "events": ["*"]})).json()
        assert made["webhook"]["secret"]
        ws.delete_webhook(hook.id)
        assert [one["id"] for one in await listed(http)] == [other.id, made["id"]]
