"""Sends webhook bodies to the registered endpoints as ClickUp does: signed, retried, counted, and given up.

Promises (ClickUp docs, webhook signature and webhook health, official): X-Signature is the hexadecimal HMAC-SHA256 of
the body's bytes under the hook's secret; an attempt has 7 seconds; an event has five attempts and is then lost for
good; a hundred lost events suspend the hook, an answer of 401 or 410 at once; a suspended hook is sent nothing.
Assumed: the time between attempts (a parameter here), that retries are byte-identical, that redirects are failures.
Order is not kept, as several deliveries are in flight; memory is bounded, as `send` waits while too many are open.
"""

import asyncio
import hashlib
import hmac
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import httpx
import orjson

from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.records import Webhook
from integrations.clickup.simulator.workspace import Workspace

ATTEMPTS = 5
TIMEOUT_SECONDS = 7.0
BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0)
SHUFFLE_PATIENCE_SECONDS = 0.1
_OPTED_OUT = ("401", "410")

Backoff = Sequence[float] | Callable[[int], float]


def sign(secret: str, body: bytes) -> str:
    """The value of X-Signature: lower-case hex, the secret's text as the key."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How one event fared with one hook.

    `outcome` is delivered, lost (attempts used up, or the hook suspended), dropped (by a fault), withheld (the hook's
    owner is disabled; its health does not show it) or cancelled (hook deleted, or closed); `answer` is the last
    status, "timeout", "unreachable", or "unsent".
    """

    webhook_id: str
    event: str
    outcome: str
    attempts: int
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parcel:
    webhook_id: str
    event: str
    body: bytes
    signature: str


class Deliveries:
    """The sender of one workspace; it lives in one event loop and is closed once.

    Attributes:
        log: the last deliveries, oldest first.
        outcomes: how many deliveries ended how; the keys are `Delivery.outcome`'s.
        answers: how many attempts were answered how; the keys are `Delivery.answer`'s.
        retried: how many attempts were not the first of their delivery.
    """

    def __init__(
        self,
        workspace: Workspace,
        faults: Faults,
        *,
        client: httpx.AsyncClient | None = None,
        backoff: Backoff = BACKOFF_SECONDS,
        concurrency: int = 16,
        queue_size: int = 10_000,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self.log: deque[Delivery] = deque(maxlen=1_000)
        self.outcomes: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.retried = 0
        self._workspace = workspace
        self._faults = faults
        self._random = workspace.random_for("deliveries")
        self._client = client
        self._owns_client = client is None
        self._backoff = backoff
        self._timeout = timeout
        self._concurrency = concurrency
        self._in_flight = asyncio.Semaphore(concurrency)
        self._room = asyncio.Semaphore(queue_size)
        self._held: list[_Parcel] = []
        self._flush: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def open(self) -> int:
        """How many deliveries have not ended yet."""
        return len(self._held) + len(self._tasks)

    async def send(self, bodies: Iterable[Body]) -> None:
        """Hand events over, each to every hook that wants it; waits only while too many deliveries are open."""
        for body in bodies:
            place = self._workspace.place_of(body)
            for hook in list(self._workspace.webhooks.values()):
                if hook.wants(body["event"], place):
                    await self._send_to(hook, body)

    async def drain(self) -> None:
        """Wait until every delivery handed over so far has ended, retries included."""
        self._release()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self, *, grace: float = 5.0) -> None:
        """Take nothing more, wait up to `grace` seconds for open deliveries, cancel the rest."""
        self._closed = True
        self._release()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._client is not None and self._owns_client:
            await self._client.aclose()

    async def _send_to(self, hook: Webhook, body: Body) -> None:
        payload = orjson.dumps({**body, "webhook_id": hook.id})
        parcel = _Parcel(webhook_id=hook.id, event=body["event"], body=payload, signature=sign(hook.secret, payload))
        if self._random.random() < self._faults.drop_rate:
            self._ended(parcel, "dropped", 0, "unsent")
            return
        copies = 2 if self._random.random() < self._faults.duplicate_rate else 1
        for _ in range(copies):
            await self._room.acquire()
            if self._closed:
                self._room.release()
                raise RuntimeError("deliveries are closed")
            self._hold(parcel)

    def _hold(self, parcel: _Parcel) -> None:
        """Start the delivery now or, while shuffling, when its group is full or a moment has passed."""
        self._held.append(parcel)
        if len(self._held) >= self._faults.shuffle_window:
            self._release()
        elif self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(SHUFFLE_PATIENCE_SECONDS, self._release)

    def _release(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        parcels, self._held = self._held, []
        if self._faults.shuffle_window > 1:
            self._random.shuffle(parcels)
        for parcel in parcels:
            task = asyncio.get_running_loop().create_task(self._deliver(parcel))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        # Not at the end of _deliver: a task that is cancelled before its first step never gets there.
        self._tasks.discard(task)
        self._room.release()

    async def _deliver(self, parcel: _Parcel) -> None:
        try:
            await self._attempt(parcel)
        except asyncio.CancelledError:
            self._ended(parcel, "cancelled", 0, "unsent")
            raise

    async def _attempt(self, parcel: _Parcel) -> None:
        """Attempt until it is delivered, hopeless or pointless."""
        answer = "unsent"
        for attempt in range(1, ATTEMPTS + 1):
            async with self._in_flight:
                hook = self._workspace.webhooks.get(parcel.webhook_id)
                if hook is None or (why := self._why_not(hook)):
                    self._ended(parcel, "cancelled" if hook is None else why, attempt - 1, answer)
                    return
                self.retried += attempt > 1
                answer = await self._post(hook.endpoint, parcel)
            self.answers[answer] += 1
            if answer.startswith("2"):
                hook.attempt_succeeded()
                self._ended(parcel, "delivered", attempt, answer)
                return
            hook.attempt_failed(opted_out=answer in _OPTED_OUT)
            if attempt == ATTEMPTS or hook.suspended:
                hook.event_lost()
                self._ended(parcel, "lost", attempt, answer)
                return
            await asyncio.sleep(self._pause(attempt))

    def _why_not(self, hook: Webhook) -> str:
        """The outcome if nothing may be sent to this hook now: membership is checked before every send (official)."""
        if hook.suspended:
            return "lost"
        return "withheld" if hook.userid in self._workspace.disabled else ""

    async def _post(self, endpoint: str, parcel: _Parcel) -> str:
        """One attempt; an endpoint without a scheme is https (official)."""
        url = endpoint if "://" in endpoint else f"https://{endpoint}"
        headers = {"Content-Type": "application/json", "X-Signature": parcel.signature}
        if self._client is None:
            limits = httpx.Limits(max_connections=self._concurrency)
            self._client = httpx.AsyncClient(limits=limits, timeout=self._timeout, trust_env=False)
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post(url, content=parcel.body, headers=headers, follow_redirects=False)
        except (TimeoutError, httpx.TimeoutException):
            return "timeout"
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
            return "unreachable"
        return str(response.status_code)

    def _pause(self, attempt: int) -> float:
        """The wait after this failed attempt; a sequence's last number stands for all after it."""
        if callable(self._backoff):
            return self._backoff(attempt)
        return self._backoff[min(attempt, len(self._backoff)) - 1] if self._backoff else 0.0

    def _ended(self, parcel: _Parcel, outcome: str, attempts: int, answer: str) -> None:
        self.outcomes[outcome] += 1
        self.log.append(
            Delivery(
                webhook_id=parcel.webhook_id,
                event=parcel.event,
                outcome=outcome,
                attempts=attempts,
                answer=answer,
            )
        )
