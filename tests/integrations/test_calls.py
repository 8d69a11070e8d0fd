"""How calls are made: turns, deadlines, what is tried again and what must not be, and what is told of it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import respx

from integrations.budget import Turn, Turns
from integrations.clickup import calls as module
from integrations.clickup.calls import Calls, Method, segment
from integrations.clickup.client import transport
from integrations.clickup.errors import (
    ClickUpError,
    Gone,
    RateLimited,
    Rejected,
    TokenRefused,
    Unavailable,
)
from integrations.clickup.simulator.server import Simulator
from schema.errors import DatabaseUnavailable
from tests.conftest import until
from tests.turns import Unmetered

API = "https://api.clickup.test/api"
TOKEN = "pk_48213377_SECRETSECRETSECRET"
OK = httpx.Response(200, json={"id": "1"})
BUSY = httpx.Response(429, json={"err": "Rate limit reached", "ECODE": "APP_002"})
PAGE = httpx.Response(502, text="<html><title>502 Bad Gateway</title></html>")

Answer = httpx.Response | type[Exception]


class Largest(random.Random):
    """Chance that always takes the most."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


@dataclass
class Asked:
    """Calls to an API that gives set answers, and what came of them."""

    calls: Calls
    turns: Unmetered
    router: respx.MockRouter
    slept: list[float] = field(default_factory=list)

    @property
    def requests(self) -> list[httpx.Request]:
        return [call.request for call in self.router.calls]


@asynccontextmanager
async def asking(
    *answers: Answer, token: str = TOKEN, turns: Turns | None = None, **options: Any
) -> AsyncIterator[Asked]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    unmetered = Unmetered()
    async with transport() as http:
        with respx.mock(assert_all_called=False) as router:
            router.route(url__startswith=API).mock(side_effect=list(answers))
            calls = Calls(
                http, url=f"{API}/", token=token, turns=turns or unmetered, sleep=sleep, chance=Largest(), **options
            )
            yield Asked(calls, unmetered, router, slept)


async def caught(call: Awaitable[object]) -> ClickUpError:
    with pytest.raises(ClickUpError) as info:
        await call
    told = "".join(traceback.format_exception(info.value)) + repr(info.value)
    assert TOKEN not in told
    assert "SECRET" not in told
    return info.value


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.ReadError,
        httpx.ReadTimeout,
        httpx.WriteError,
        httpx.PoolTimeout,
        httpx.RemoteProtocolError,
        httpx.Response(500, json={"err": "Internal", "ECODE": "X"}),
        PAGE,
        httpx.Response(200, text="<html>maintenance</html>"),
        httpx.Response(302, headers={"Location": "https://login.example.com"}),
        httpx.Response(408),
        BUSY,
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_may_be_repeated_is_tried_again(fault: Answer, method: Method) -> None:
    """Resets, timeouts, 5xx, gateways' pages and 429 are followed by another try, which has a turn of its own."""
    async with asking(fault, fault, OK) as asked:
        assert await asked.calls.json(method, "/v2/x") == {"id": "1"}
        assert asked.calls.count == asked.turns.given == len(asked.requests) == 3
        assert asked.turns.open == 0


@pytest.mark.parametrize("fault", [httpx.ReadTimeout, httpx.ReadError, httpx.WriteError, httpx.PoolTimeout, PAGE])
async def test_a_post_that_may_have_arrived_is_not_repeated(fault: Answer) -> None:
    """After a request may have been carried out, a POST is Unavailable at the first try."""
    async with asking(fault, OK) as asked:
        assert isinstance(await caught(asked.calls.object("POST", "/v2/x", body={"a": 1})), Unavailable)
        assert asked.calls.count == 1
        assert asked.slept == []


@pytest.mark.parametrize("fault", [BUSY, httpx.ConnectError, httpx.ConnectTimeout])
async def test_a_post_that_did_not_arrive_is_repeated(fault: Answer) -> None:
    """What was refused for the budget or never left is sent again, with the same body."""
    async with asking(fault, OK) as asked:
        assert await asked.calls.object("POST", "/v2/x", body={"a": "é"}) == {"id": "1"}
        assert [request.content for request in asked.requests] == ['{"a":"é"}'.encode()] * 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(400, json={"ECODE": "INPUT_003"}), Rejected),
        (httpx.Response(401, json={"ECODE": "OAUTH_019"}), TokenRefused),
        (httpx.Response(401, json={"ECODE": "OAUTH_027"}), Gone),
        (httpx.Response(404), Gone),
    ],
)
async def test_what_another_try_cannot_help_is_not_tried_again(answer: httpx.Response, kind: type) -> None:
    """Refusals come at the first try."""
    async with asking(answer, OK) as asked:
        assert type(await caught(asked.calls.get("/v2/x"))) is kind
        assert asked.calls.count == 1


async def test_attempts_are_bounded_and_the_pauses_grow() -> None:
    """Five tries by default, with at most 0.5 s, 1 s, 2 s and 4 s between them, and never more than 10 s."""
    async with asking(*[PAGE] * 9) as asked:
        assert isinstance(await caught(asked.calls.get("/v2/x")), Unavailable)
        assert asked.slept == [0.5, 1, 2, 4]
        assert asked.turns.statuses == [502] * 5
    async with asking(*[httpx.ReadTimeout] * 8, attempts=8) as asked:
        await caught(asked.calls.get("/v2/x"))
        assert asked.slept == [0.5, 1, 2, 4, 8, 10, 10]
    async with asking(PAGE, attempts=1) as asked:
        await caught(asked.calls.get("/v2/x"))
        assert asked.slept == []


async def test_the_pause_is_a_random_part() -> None:
    """Full jitter: from nothing to the most, so that those who failed together do not come back together."""
    async with transport() as http:
        calls = Calls(http, url=API, token=TOKEN, turns=Unmetered())
        pauses = [calls._pause(Unavailable(""), 3) for _ in range(200)]
    assert min(pauses) < 0.1
    assert max(pauses) > 1.9
    assert max(pauses) <= 2


async def test_after_429_only_the_budget_waits() -> None:
    """Between tries is a small jitter and no back-off: the turn says when to go on, and is told status and headers."""
    busy = httpx.Response(429, headers={"X-RateLimit-Reset": "1773569430", "Retry-After": "9"})
    async with asking(*[busy] * 4, OK) as asked:
        assert await asked.calls.get("/v2/x") == {"id": "1"}
        assert asked.slept == [module.JITTER_SECONDS] * 4
        assert asked.turns.statuses == [429] * 4 + [200]
        assert asked.turns.headers[0]["x-ratelimit-reset"] == "1773569430"
    async with asking(*[busy] * 5) as asked:
        error = await caught(asked.calls.get("/v2/x"))
        assert isinstance(error, RateLimited)
        assert error.retry_after == 9


async def test_without_an_answer_nothing_is_told_to_the_budget() -> None:
    """A reset has no status; the turn is given back all the same."""
    async with asking(httpx.ReadError, OK) as asked:
        await asked.calls.get("/v2/x")
        assert asked.turns.statuses == [200]
        assert (asked.turns.given, asked.turns.open) == (2, 0)


async def test_turns_that_nobody_gives() -> None:
    """A database that is away passes through as it is, and nothing is asked of ClickUp."""

    class Away:
        def turn(self) -> AbstractAsyncContextManager[Turn]:
            raise DatabaseUnavailable("no database")

    async with asking(OK, turns=Away()) as asked:
        with pytest.raises(DatabaseUnavailable):
            await asked.calls.get("/v2/x")
        assert asked.calls.count == 0
        assert asked.requests == []


async def test_no_turn_is_held_while_waiting_to_try_again() -> None:
    """Others go on during a pause."""
    async with asking(PAGE, OK) as asked:
        held: list[int] = []

        async def sleep(_seconds: float) -> None:
            held.append(asked.turns.open)

        asked.calls._sleep = sleep
        await asked.calls.get("/v2/x")
        assert held == [0]


async def test_a_cancelled_call_gives_its_turn_back() -> None:
    """Cancelling reaches the request and is not taken for a deadline."""
    async with serving_slowly() as (url, http):
        turns = Unmetered()
        task = asyncio.create_task(Calls(http, url=url, token=TOKEN, turns=turns).get("/v2/x"))
        await until(lambda: turns.open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (turns.given, turns.open) == (1, 0)


@asynccontextmanager
async def serving_slowly() -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    """An API that answers octet by octet."""

    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        try:
            for _ in range(30):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, transport() as http:
        yield f"http://127.0.0.1:{port}/api", http


async def test_every_try_has_the_same_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes octet by octet is left when its time is over, and asked for anew with time of its own."""
    monkeypatch.setattr(module, "CALL_SECONDS", 0.2)
    async with serving_slowly() as (url, http):
        calls = Calls(http, url=url, token=TOKEN, turns=Unmetered(), attempts=2, sleep=no_sleep)
        started = time.monotonic()
        assert isinstance(await caught(calls.get("/v2/x")), Unavailable)
        assert 0.4 <= time.monotonic() - started < 1.2
        assert calls.count == 2


async def test_real_resets_and_cuts() -> None:
    """Connections that a server breaks, before or in the middle of an answer, are overcome."""
    simulator = Simulator(seed=5, token=TOKEN)
    async with simulator.serving() as url, transport() as http:
        calls = Calls(http, url=url, token=TOKEN, turns=Unmetered(), attempts=50, sleep=no_sleep)
        for knob in ("reset_rate", "cut_rate", "gateway_error_rate", "api_error_rate"):
            setattr(simulator.faults, knob, 0.5)
            before = calls.count
            for _ in range(12):
                assert await calls.get("/v2/user")
            assert calls.count > before + 12
            setattr(simulator.faults, knob, 0.0)


async def no_sleep(_seconds: float) -> None:
    return


async def test_clickups_clock() -> None:
    """`said_at` is the latest answer's Date, of a refusal too; an answer without a readable one leaves it as it was."""
    first = httpx.Response(500, headers={"Date": "Sun, 15 Mar 2026 10:00:00 GMT"})
    odd = [httpx.Response(200, json={}, headers={"Date": date}) for date in ("yesterday", "Sun, 99 Mar 2026 10:00 GMT")]
    later = httpx.Response(200, json={}, headers={"Date": "Sun, 15 Mar 2026 12:00:30 +0200"})
    async with asking(first, *odd, OK, later, attempts=1) as asked:
        said = [asked.calls.said_at]
        await caught(asked.calls.get("/v2/x"))
        for _ in range(4):
            said.append(asked.calls.said_at)
            await asked.calls.get("/v2/x")
        ten = datetime(2026, 3, 15, 10, tzinfo=UTC)
        assert said == [None, *[ten] * 4]
        assert asked.calls.said_at == ten + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("token", "sent"),
    [(TOKEN, TOKEN), ("48213377_OAUTH", "Bearer 48213377_OAUTH"), ("PK_X", "Bearer PK_X"), ("xpk_1", "Bearer xpk_1")],
)
async def test_the_form_of_authorization(token: str, sent: str) -> None:
    """A personal token stands alone, any other behind Bearer; the type is JSON on every request."""
    async with asking(OK, OK, token=token) as asked:
        await asked.calls.get("/v2/x")
        await asked.calls.object("POST", "/v2/x", body={})
        for request in asked.requests:
            assert request.headers["authorization"] == sent
            assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("token", ["", " ", "pk_ x", "pk_\r\nX: 1", "pk_\x00", "pk_é", "\ud800", "pk_\x7f"], ids=ascii)
async def test_tokens_that_no_header_can_carry(token: str) -> None:
    """They are refused without a turn and without a call."""
    async with asking(OK, token=token) as asked:
        assert isinstance(await caught(asked.calls.get("/v2/x")), TokenRefused)
        assert asked.turns.given == 0


@pytest.mark.parametrize(
    ("id_", "path"),
    [
        ("868cq4m2x", "868cq4m2x"),
        ("../user", "..%2Fuser"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("%2e%2e", "%252e%252e"),
        ("é ", "%C3%A9%20"),
        ("a;b:c@d&e", "a%3Bb%3Ac%40d%26e"),
        ("...", "..."),
        ("\ud800", "%3F"),
        ("x\r\ny", "x%0D%0Ay"),
        ("\\..\\", "%5C..%5C"),
    ],
    ids=ascii,
)
async def test_an_id_is_one_segment_of_the_path(id_: str, path: str) -> None:
    """Whatever is in an id, it leads to no other path, with no other query, and is sent encoded once."""
    async with asking(OK) as asked:
        await asked.calls.get(f"/v2/task/{segment(id_)}/comment", a="1")
        assert asked.requests[0].url.raw_path == f"/api/v2/task/{path}/comment?a=1".encode()


@pytest.mark.parametrize("id_", ["", ".", ".."])
def test_what_no_encoding_keeps_in_its_place(id_: str) -> None:
    """An id that a path would swallow is Gone before anything is asked."""
    with pytest.raises(Gone):
        segment(id_)


@pytest.mark.parametrize(
    ("value", "pairs"),
    [
        (True, [("q", "true")]),
        (False, [("q", "false")]),
        (0, [("q", "0")]),
        ("é &", [("q", "é &")]),
        (None, []),
        (["a", 2], [("q[]", "a"), ("q[]", "2")]),
        (("a",), [("q[]", "a")]),
        ("", [("q", "")]),
        (datetime(2026, 3, 15, 10, 0, 0, 123000, tzinfo=UTC), [("q", "1773568800123")]),
    ],
)
async def test_how_a_query_is_written(value: Any, pairs: Sequence[tuple[str, str]]) -> None:
    """Booleans as words, arrays as repeated name[], times as epoch milliseconds, None not at all."""
    async with asking(OK) as asked:
        await asked.calls.get("/v2/x", q=value)
        assert asked.requests[0].url.params.multi_items() == list(pairs)


async def test_an_empty_filter_is_refused() -> None:
    """Left out it would ask for everything, which nobody meant who filters."""
    async with asking(OK) as asked:
        with pytest.raises(ValueError, match="list_ids is empty"):
            await asked.calls.get("/v2/x", list_ids=[])


async def test_a_delete_needs_no_object() -> None:
    """An empty answer to DELETE is success, a gateway's page is not; to anything else an empty answer is none."""
    async with asking(httpx.Response(204), httpx.Response(200, text=" "), attempts=1) as asked:
        assert await asked.calls.json("DELETE", "/v2/x") == {}
        assert await asked.calls.json("DELETE", "/v2/x") == {}
    empty: list[Method] = ["GET", "PUT", "POST"]
    for method in empty:
        async with asking(httpx.Response(204), attempts=1) as asked:
            assert isinstance(await caught(asked.calls.json(method, "/v2/x")), Unavailable)
    async with asking(httpx.Response(200, text="<html>"), attempts=1) as asked:
        assert isinstance(await caught(asked.calls.json("DELETE", "/v2/x")), Unavailable)


async def test_an_array_is_an_answer_where_one_is_asked_for() -> None:
    """v3 answers arrays; where an object is wanted they are Unavailable."""
    array = httpx.Response(200, json=[{"id": "1"}, None])
    async with asking(array, array, attempts=1) as asked:
        assert await asked.calls.rows("/v3/x", "pages") == [{"id": "1"}]
        assert isinstance(await caught(asked.calls.get("/v3/x")), Unavailable)


async def test_secrets_are_neither_in_errors_nor_in_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever fails, and though ClickUp repeats the token: no token, header or body is told anywhere."""
    caplog.set_level(logging.DEBUG)
    echo = {"err": f"bad {TOKEN}", "ECODE": TOKEN, "message": TOKEN}
    answers: list[Answer] = [
        *(httpx.Response(status, json=echo) for status in (400, 401, 403, 404, 429, 500)),
        httpx.Response(200, text=TOKEN),
        httpx.Response(502, text=TOKEN, headers={"X-Odd": TOKEN}),
        httpx.ReadTimeout,
        httpx.ConnectError,
    ]
    async with asking(*answers, attempts=1) as asked:
        for _ in answers:
            error = await caught(asked.calls.object("POST", "/v2/x", body={"secret": "BODYSECRET"}))
            assert "\n" not in str(error)
    assert "SECRET" not in caplog.text


async def test_one_pool_keeps_no_cookies() -> None:
    """A cookie that one token's answer sets is not sent with another's call."""
    baked = httpx.Response(200, json={}, headers={"Set-Cookie": "session=1; Path=/"})
    async with asking(baked, OK) as asked:
        await asked.calls.get("/v2/x")
        await asked.calls.get("/v2/x")
        assert "cookie" not in asked.requests[1].headers
