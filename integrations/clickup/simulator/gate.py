"""What every API request passes before its answer is made: token, rate limit, and the faults that are switched on.

Promises: every answer carries the X-RateLimit headers (observed on successes too); an error has the shape of its API
version (`refusals.py`); an unknown or invisible id is 401 OAUTH_027 "Team not authorized", never 404 (observed by
several). v2 and v3 use up one limit (assumed), and every request is counted by method, path template and status.
"""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.line import Cut, Reset
from integrations.clickup.simulator.metering import Meter
from integrations.clickup.simulator.refusals import RefusalError, not_authorized
from integrations.clickup.simulator.workspace import Workspace

_GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
_GATEWAY_STATUSES = {502: "502 Bad Gateway", 503: "503 Service Unavailable", 504: "504 Gateway Time-out"}

Handler = Callable[[Request, int], Awaitable[Any]]
Calls = Counter[tuple[str, str, int]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Gate:
    """Admits requests: `tokens` maps each token to the user it acts for, and may grow while it runs.

    A request without a valid token has a counter of its own, so that it too gets the headers. `calls` counts the
    answers by method, path template and status; a connection that was reset has status 0.
    """

    def __init__(
        self, workspace: Workspace, faults: Faults, *, tokens: MutableMapping[str, int], meter: Meter, calls: Calls
    ) -> None:
        self._workspace = workspace
        self._faults = faults
        self._tokens = tokens
        self._meter = meter
        self._calls = calls
        self._random = workspace.random_for("api")
        self._line = workspace.random_for("line")

    def endpoint(self, method: str, template: str, handler: Handler) -> Endpoint:
        """The Starlette endpoint of a handler, which is given the request and the calling user."""

        async def answer(request: Request) -> Response:
            headers: dict[str, str] = {}
            try:
                response = await self._answer(request, handler, headers)
            except RefusalError as refusal:
                response = self.refuse(refusal, v3=template.startswith("/v3"))
            response.headers.update(headers)
            response = self._on_the_way(response)
            self._calls[method, template, 0 if isinstance(response, Reset) else response.status_code] += 1
            return response

        return answer

    def unmetered(self, method: str, template: str, handler: Endpoint) -> Endpoint:
        """The endpoint of a request that needs no token and uses up no limit."""

        async def answer(request: Request) -> Response:
            try:
                response = await handler(request)
            except RefusalError as refusal:
                response = self.refuse(refusal, v3=False)
            self._calls[method, template, response.status_code] += 1
            return response

        return answer

    def refuse(self, refusal: RefusalError, *, v3: bool) -> Response:
        """The answer of a refusal."""
        if not v3:
            return json_answer(refusal.body(), refusal.status)
        trace_id = str(self._line.getrandbits(63))
        return json_answer(refusal.body_v3(trace_id, self._workspace.now()), refusal.status)

    @property
    def hides(self) -> bool:
        """Whether anything at all is switched to be gone."""
        return bool(self._faults.gone_ids)

    def visible(self, *ids: str) -> bool:
        """Whether none of these ids, an object's own and its containers', is switched to be gone."""
        return self._faults.gone_ids.isdisjoint(ids)

    def check_team(self, team_id: str) -> None:
        """Refuse another workspace than the one there is."""
        if team_id != self._workspace.team_id:
            raise not_authorized()

    def check_visible(self, *ids: str) -> None:
        """Refuse what is switched to be gone."""
        if not self.visible(*ids):
            raise not_authorized()

    async def _answer(self, request: Request, handler: Handler, headers: dict[str, str]) -> Response:
        token = self._token_of(request.headers.get("authorization"))
        admitted = self._count(token if isinstance(token, str) else None, headers)
        if not isinstance(token, str):
            raise token
        if not admitted:
            raise RefusalError(429, "Rate limit reached", "APP_002")
        if self._faults.api_latency > 0:
            await asyncio.sleep(self._faults.api_latency)
        if (page := self._server_error()) is not None:
            return page
        if not self.visible(*map(str, request.path_params.values())):
            raise not_authorized()
        payload = await handler(request, self._tokens[token])
        if self._faults.malformed_ids:
            self._malform(payload)
        return json_answer(payload, 200)

    def _token_of(self, header: str | None) -> str | RefusalError:
        """A personal token stands alone, an OAuth token behind Bearer (official); mixed up, neither is known.

        A disabled member's tokens are not known either (assumed).
        """
        if not header:
            return RefusalError(401, "Authorization header required", "OAUTH_017")
        scheme, _, rest = header.partition(" ")
        bearer = scheme.lower() == "bearer"
        token = rest.strip() if bearer else header.strip()
        known = token in self._tokens and self._tokens[token] not in self._workspace.disabled
        if not known or bearer == token.startswith("pk_"):
            return RefusalError(401, "Oauth token not found", "OAUTH_019")
        return token

    def _count(self, token: str | None, headers: dict[str, str]) -> bool:
        """Count the request, set its headers, say whether it is admitted; Reset is epoch seconds (observed)."""
        until = self._faults.rate_limited_until
        standing = self._meter.count(token, barred_until=None if until is None else until.timestamp())
        if self._faults.ratelimit_headers:
            headers["X-RateLimit-Limit"] = str(standing.limit)
            headers["X-RateLimit-Remaining"] = str(standing.remaining)
            headers["X-RateLimit-Reset"] = str(math.ceil(standing.reset))
        return standing.admitted

    def _server_error(self) -> Response | None:
        if self._faults.api_error_burst > 0:
            self._faults.api_error_burst -= 1
            raise _internal(self._line, (500, 502, 503))
        if self._random.random() < self._faults.gateway_error_rate:
            status = self._random.choice(list(_GATEWAY_STATUSES))
            return HTMLResponse(_GATEWAY_PAGE.format(_GATEWAY_STATUSES[status]), status)
        if self._random.random() < self._faults.api_error_rate:
            raise _internal(self._random, (500, 502))
        return None

    def _on_the_way(self, response: Response) -> Response:
        """What becomes of the answer on its way to the caller."""
        reset, cut, stall = (self._line.random() for _ in range(3))
        if reset < self._faults.reset_rate:
            return Reset()
        if cut < self._faults.cut_rate:
            return Cut(response)
        if stall < self._faults.stall_rate:
            return Cut(response, stall=self._faults.stall_seconds)
        return response

    def _malform(self, payload: Any) -> None:
        if isinstance(payload, dict):
            if payload.get("id") in self._faults.malformed_ids and "name" in payload:
                payload["name"] = None
            payload = list(payload.values())
        if isinstance(payload, list):
            for one in payload:
                self._malform(one)


def json_answer(payload: Any, status: int) -> Response:
    """An answer in JSON."""
    return Response(orjson.dumps(payload), status, media_type="application/json")


def _internal(chance: random.Random, statuses: tuple[int, ...]) -> RefusalError:
    return RefusalError(chance.choice(statuses), "Internal server error", "INTERNAL_001")
