"""Deliberately broken builds: `python -m tests.resilience.broken BUG COMMAND...` is `kb-ingest COMMAND` with that bug.

Each fault of `faults.py` names the bug with which it must be seen to fail; one that cannot fail proves nothing.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from cli.main import main
from consumers import worker
from consumers.handlers import consumers, knowledge
from events.embedded import Embedded
from events.errors import BusUnavailable
from events.rabbitmq import RabbitMQ
from ingest import acceptance, webhooks
from ingest.refusals import UNAVAILABLE, Refusal
from schema import migrate, postgres
from schema.errors import DatabaseUnavailable


def _replace(owner: object, name: str, new: object) -> None:
    if not hasattr(owner, name):
        raise AttributeError(f"{owner} has no {name} that could be broken")
    setattr(owner, name, new)


def _let_go(flying: set[asyncio.Task[Any]], done: asyncio.Task[Any]) -> None:
    flying.discard(done)
    if not done.cancelled():
        done.exception()  # looked at: it is nobody's


def confirms() -> None:
    """A publish does not wait for the broker's confirm."""
    publish = RabbitMQ.publish
    flying: set[asyncio.Task[None]] = set()

    async def unconfirmed(self: RabbitMQ, envelopes: Any, *, within: float) -> None:
        task = asyncio.create_task(publish(self, envelopes, within=within))
        flying.add(task)
        task.add_done_callback(functools.partial(_let_go, flying))

    _replace(RabbitMQ, "publish", unconfirmed)


def reconnect() -> None:
    """A lost connection to the broker stays lost."""
    supervise = RabbitMQ._supervise

    async def once(self: RabbitMQ) -> None:
        task = asyncio.create_task(supervise(self))
        link = await self.link()
        await link.broken.wait()
        task.cancel()

    _replace(RabbitMQ, "_supervise", once)


def deadline() -> None:
    """A request waits for the broker as long as it takes."""
    _replace(acceptance, "BROKER_SECONDS", 60.0)
    _replace(webhooks, "ANSWER_SECONDS", 60.0)


def spool() -> None:
    """What the broker does not take is said to be stored, and is not."""

    async def forgotten(_self: Embedded, _queue: Any, _envelopes: Any, *, within: float) -> None:
        await asyncio.sleep(min(within, 0.001))

    _replace(Embedded, "put", forgotten)


def lookup() -> None:
    """Every request asks the database for the secrets."""
    answer = webhooks.Webhooks._answer

    async def asked(self: webhooks.Webhooks, *rest: Any) -> Any:
        try:
            await self.secrets._database.fetch("webhook_secrets", [], within=4)
        except DatabaseUnavailable as error:
            raise Refusal(UNAVAILABLE) from error
        return await answer(self, *rest)

    _replace(webhooks.Webhooks, "_answer", asked)


def swallow() -> None:
    """What the database does not take is forgotten, and its delivery settled."""
    handled = worker.Worker._handled

    async def careless(self: worker.Worker, envelopes: Any, stop: Any) -> Any:
        try:
            return await self.handle(envelopes)
        except DatabaseUnavailable:
            return {}
        except Exception:
            return await handled(self, envelopes, stop)

    _replace(worker.Worker, "_handled", careless)


def optimist() -> None:
    """Whatever happens, the delivery is said to be accepted."""
    accept = acceptance.Acceptor.accept

    async def always(self: acceptance.Acceptor, envelope: Any, *, within: float) -> str:
        with suppress(BusUnavailable):
            return await accept(self, envelope, within=within)
        return "nowhere"

    _replace(acceptance.Acceptor, "accept", always)


def early() -> None:
    """A delivery is answered first and stored afterwards."""
    accept = acceptance.Acceptor.accept
    flying: set[asyncio.Task[str]] = set()

    async def later(self: acceptance.Acceptor, envelope: Any, *, within: float) -> str:
        async def store() -> str:
            await asyncio.sleep(0.2)
            return await accept(self, envelope, within=within)

        task = asyncio.create_task(store())
        flying.add(task)
        task.add_done_callback(functools.partial(_let_go, flying))
        return "soon"

    _replace(acceptance.Acceptor, "accept", later)


def ack() -> None:
    """A delivery is settled before its effect is committed."""
    process = worker.Worker._process

    async def settled_first(self: worker.Worker, subscription: Any, batch: Sequence[Any], stop: Any) -> None:
        with suppress(BusUnavailable):
            await subscription.ack(batch)
        await process(self, subscription, batch, stop)

    _replace(worker.Worker, "_process", settled_first)


def stale() -> None:
    """A delivery that seems old is discarded."""
    fresh = knowledge._fresh

    async def young(resources: Any, batch: Any) -> Any:
        found, observed_at = await fresh(resources, batch)
        return [one for one in found if abs(time.time() - one.time.timestamp()) < 600], observed_at

    _replace(knowledge, "_fresh", young)


def giveup() -> None:
    """A source that does not answer at once is not asked again."""
    _replace(knowledge, "LOOK_SECONDS", 1.0)
    look = knowledge._look

    async def once(resources: Any, heard: Any) -> Any:
        looks, _ = await look(resources, heard)
        return looks, {}

    _replace(knowledge, "_look", once)


def keep() -> None:
    """A connection to a database that refuses to write is kept."""
    _replace(postgres, "is_spent", lambda _error: False)


def hasty() -> None:
    """A migration demands at once what only the new version will bring."""
    load, demand = migrate.load, "ALTER TABLE kb.inbox ADD COLUMN note TEXT, ADD CHECK (note IS NOT NULL) NOT VALID"

    def more() -> list[migrate.Migration]:
        return [*load(), migrate.Migration(version=9999, name="hasty", text=demand)]

    _replace(migrate, "load", more)


BUGS: Final[Mapping[str, Callable[[], None]]] = {
    bug.__name__: bug
    for bug in (
        confirms, reconnect, deadline, spool, lookup, swallow, optimist, early, ack, stale, giveup, keep,
        hasty,
    )
}  # fmt: skip


if __name__ == "__main__":
    consumers()  # each is found and loaded before one of them is broken
    BUGS[sys.argv[1]]()
    main(sys.argv[2:])
