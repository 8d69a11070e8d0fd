"""How one call to ClickUp's API is made: whose turn it is, how long it may take, and whether it is tried again.

Promises: every try has a turn of its own and a deadline; what may have been carried out is not asked for twice, except
where twice is the same as once; every failure has a name of `errors.py`; an answer is an object or an array, clean
enough for PostgreSQL; token, headers and bodies are in no error and no log.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import quote

import httpx
import orjson

from integrations.budget import Turns
from integrations.clickup.errors import Gone, RateLimited, TokenRefused, Unavailable, refusal
from integrations.clickup.listings import Entity, Parameter, parameters, rows
from integrations.clickup.values import storable

CALL_SECONDS: Final = 10.0
ATTEMPTS: Final = 5
BACKOFF_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 10.0
JITTER_SECONDS: Final = 0.1
"""After a 429. How long to wait is the budget's business; this only parts those who waited together."""

Method = Literal["GET", "POST", "PUT", "DELETE"]
Query = Sequence[tuple[str, str]]
Json = dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. Its text is the method and the path, fit for an error."""

    method: Method
    path: str
    query: Query = ()
    body: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    async def send(self, http: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> httpx.Response:
        """The answer, whole, in time. Raises `Unavailable`."""
        content = None if self.body is None else orjson.dumps(storable(dict(self.body)))
        # the type is asked for on every request, with or without a body (official)
        sent = {**headers, "Content-Type": "application/json"}
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await http.request(
                    self.method, url.rstrip("/") + self.path, params=list(self.query), content=content, headers=sent
                )
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(f"ClickUp did not answer {self}: {type(error).__name__}") from error

    def result(self, response: httpx.Response, *, secrets: Collection[str]) -> Json:
        """What the answer says. Raises what `errors.refusal` calls it."""
        body = _value(response.content)
        if response.is_success and body is not None:
            return body
        if response.is_success and self.method == "DELETE" and not response.content.strip():
            return {}
        raise refusal(str(self), response.status_code, response.headers, body, secrets=secrets)


class Calls:
    """Makes the calls of one token.

    Attributes:
        count: tries made.
        said_at: the latest answer's `Date`, which is ClickUp's clock.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        url: str,
        token: str,
        turns: Turns,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: random.Random | None = None,
    ) -> None:
        self.count = 0
        self.said_at: datetime | None = None
        self._http = http
        self._url = url
        self._turns = turns
        self._attempts = attempts
        self._sleep = sleep
        self._chance = chance or random.Random()  # noqa: S311  spreads retries, guards nothing
        self._usable = is_token(token)
        self._secrets = (token,)
        # a personal token goes as it is, Bearer in front of it is refused; an OAuth token needs it (official)
        self._headers = {"Authorization": token if token.startswith("pk_") else f"Bearer {token}"}

    async def get(self, path: str, **query: Parameter) -> dict[str, Any]:
        """The object at a path; raises as `object` does. See `listings.parameters` for how the query is written."""
        return await self.object("GET", path, query=parameters(query))

    async def rows(self, path: str, name: str, **query: Parameter) -> list[Entity]:
        """The objects listed at a path, all in one answer; raises as `json` does, and `Unavailable` for no listing."""
        return rows(await self.json("GET", path, query=parameters(query)), name)

    async def object(
        self, method: Method, path: str, *, query: Query = (), body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The object that a call answers; raises as `json` does, and `Unavailable` for an array."""
        answer = await self.json(method, path, query=query, body=body)
        if isinstance(answer, dict):
            return answer
        raise Unavailable(f"{method} {path} answered an array, not an object")

    async def json(
        self, method: Method, path: str, *, query: Query = (), body: Mapping[str, Any] | None = None
    ) -> Json:
        """What a call answers. It waits for a turn, and between tries; both may take minutes.

        5xx, no answer in time, broken connections and gateways' pages are tried again after a random part of 0.5 s,
        1 s, 2 s and so on, up to 10 s; 429 at the next turn. A POST is tried again only after 429 and where no
        connection came about: else ClickUp may have carried it out.

        Raises:
            integrations.clickup.errors.ClickUpError: by name, the last try's.
            schema.errors.DatabaseUnavailable: nobody can say whose turn it is.
        """
        if not self._usable:
            raise TokenRefused("the token is missing or no header can carry it; check it with `kb-ingest doctor`")
        request = Request(method, path, query, body)
        tries = 1
        while True:
            try:
                return request.result(await self._try(request), secrets=self._secrets)
            except (RateLimited, Unavailable) as error:
                if tries >= self._attempts or not _again(request.method, error):
                    raise
                pause = self._pause(error, tries)
            await self._sleep(pause)
            tries += 1

    async def _try(self, request: Request) -> httpx.Response:
        async with self._turns.turn() as turn:
            self.count += 1
            response = await request.send(self._http, self._url, self._headers)
            turn.answered(response.status_code, response.headers)
        self.said_at = _date(response.headers) or self.said_at
        return response

    def _pause(self, error: Exception, tries: int) -> float:
        if isinstance(error, RateLimited):
            return self._chance.uniform(0, JITTER_SECONDS)
        # the exponent is bounded so that no number of attempts overflows it
        return self._chance.uniform(0, min(LONGEST_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** min(tries - 1, 16)))


def is_token(value: str) -> bool:
    """Whether it may be a token: a header can carry it."""
    return value != "" and all("!" <= char <= "~" for char in value)


def segment(value: str) -> str:
    """An id as one segment of a path. Raises `Gone` for what no id can be: a path would lead elsewhere with it."""
    if value in ("", ".", ".."):
        raise Gone(f"no id of ClickUp's: {value!r}")
    return quote(value, safe="", errors="replace")


def _again(method: Method, error: Exception) -> bool:
    never_sent = isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout)
    return method != "POST" or isinstance(error, RateLimited) or never_sent


def _date(headers: Mapping[str, str]) -> datetime | None:
    try:
        date = parsedate_to_datetime(headers["date"])
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return None


def _value(content: bytes) -> Json | None:
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:  # a lone surrogate, which JavaScript may emit
            answer = json.loads(content)
        except (ValueError, RecursionError):
            return None
    return storable(answer) if isinstance(answer, dict | list) else None
