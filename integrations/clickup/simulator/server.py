"""The simulator put together: one workspace, its API, its deliveries, and a socket to serve it on.

    simulator = Simulator(seed=1, clock=now, token="pk_...")
    await simulator.apply(populate(simulator.workspace))
    async with simulator.serving() as api_url: ...

It runs in the caller's event loop and touches no signal handler. Closing waits a little for open deliveries.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import uvicorn

from integrations.clickup.simulator.api import build_api
from integrations.clickup.simulator.delivery import BACKOFF_SECONDS, TIMEOUT_SECONDS, Backoff, Deliveries
from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.gate import Calls, Gate
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.line import Protocol
from integrations.clickup.simulator.metering import WINDOW_SECONDS, Meter
from integrations.clickup.simulator.oauth import OAuth, OAuthApp
from integrations.clickup.simulator.records import Place, Webhook
from integrations.clickup.simulator.workspace import Workspace


def system_clock() -> datetime:
    """The time of day, for everything that is not a test."""
    return datetime.now(UTC)


class Simulator:
    """A ClickUp to develop, test and demo against.

    Attributes:
        workspace: the model; call its mutations and hand what they return to `apply`.
        faults: what goes wrong, to be turned while it runs.
        deliveries: the webhooks' sender, with counts and a log for display.
        calls: the API's answers, counted by (method, path template, status), for example
            ("GET", "/v2/task/{task_id}", 200); a reset connection has status 0.
        meter: the rate limit, with what each token used in each window.
        oauth: the OAuth app and who allows it; the tokens it hands out are good at once.
        app: the API as a Starlette application, under /api/v2 and /api/v3.
    """

    def __init__(  # noqa: PLR0913  each is a knob of its own, and all have a default but two
        self,
        *,
        seed: int,
        token: str | Mapping[str, int],
        clock: Callable[[], datetime] = system_clock,
        faults: Faults | None = None,
        limit_per_minute: int = 100_000,
        backoff: Backoff = BACKOFF_SECONDS,
        concurrency: int = 16,
        timeout: float = TIMEOUT_SECONDS,
        window_seconds: float = WINDOW_SECONDS,
        sliding: bool = False,
        oauth_app: OAuthApp | None = None,
    ) -> None:
        """A workspace that holds nothing yet but its members.

        Args:
            seed: which story is told.
            token: the owner's one token, or tokens with the ids of the users they act for. One that starts with `pk_`
                is a personal one and stands alone in the Authorization header; any other is an OAuth token and stands
                behind `Bearer` (official).
            clock: the time of the story and of the rate limit.
            faults: what goes wrong.
            limit_per_minute: how many requests a token has in a window.
            backoff: seconds between attempts of a delivery.
            concurrency: how many deliveries are in flight at most.
            timeout: seconds an attempt of a delivery has.
            window_seconds: how long the rate limit's window is.
            sliding: whether that window slides instead of starting anew.
            oauth_app: the OAuth app that people can allow; made up from the seed if none is given.
        """
        self.workspace = Workspace(seed=seed, clock=clock)
        self.faults = Faults() if faults is None else faults
        self.deliveries = Deliveries(
            self.workspace,
            self.faults,
            backoff=backoff,
            concurrency=concurrency,
            timeout=timeout,
        )
        self.calls: Calls = Counter()
        self.meter = Meter(limit=limit_per_minute, clock=clock, window_seconds=window_seconds, sliding=sliding)
        tokens = {token: self.workspace.owner.id} if isinstance(token, str) else dict(token)
        self.oauth = OAuth(self.workspace, tokens, oauth_app)
        gate = Gate(self.workspace, self.faults, tokens=tokens, meter=self.meter, calls=self.calls)
        self.app = build_api(
            self.workspace,
            self.faults,
            gate=gate,
            oauth=self.oauth,
            calls=self.calls,
            limit_per_minute=limit_per_minute,
        )

    def register_webhook(self, endpoint: str, *, events: Sequence[str] = ("*",), scope: Place | None = None) -> Webhook:
        """Register a webhook of the owner without going over the API; the record has its id and secret."""
        return self.workspace.add_webhook(endpoint, events=events, scope=scope)

    async def apply(self, bodies: Iterable[Body]) -> None:
        """Deliver the events of a mutation; waits only while too many deliveries are open."""
        await self.deliveries.send(bodies)

    async def close(self, *, grace: float = 5.0) -> None:
        """End the deliveries; call it once, after the last `apply`."""
        await self.deliveries.close(grace=grace)

    @contextlib.asynccontextmanager
    async def serving(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve while inside; gives the API's base address, as CLICKUP_API_URL wants it. Port 0 takes a free one.

        Raises:
            OSError: the address cannot be bound.
        """
        listener = _listen(host, port)
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            self.app, http=Protocol, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=2
        )
        server = _QuietServer(config)
        # The socket listens already: a request that comes before uvicorn's first turn waits in its backlog.
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://[{host}]:{port}/api" if ":" in host else f"http://{host}:{port}/api"
        finally:
            server.should_exit = True
            await running

    async def serve(self, host: str, port: int, *, started: Callable[[str], None] | None = None) -> None:
        """Serve until cancelled; `started` is told the base address once requests are answered."""
        async with self.serving(host, port) as api_url:
            if started is not None:
                started(api_url)
            await asyncio.Event().wait()


class _QuietServer(uvicorn.Server):
    """Leaves signals to whoever runs the loop: uvicorn would take over Ctrl-C and raise it again at its end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    try:
        six = ipaddress.ip_address(host).version == 6
    except ValueError:
        six = False
    family = socket.AF_INET6 if six else socket.AF_INET
    # Saying TCP outright makes asyncio switch Nagle's algorithm off: else an answer in two writes waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
