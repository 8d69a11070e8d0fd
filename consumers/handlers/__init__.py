"""The consumers, one file each, ending in `CONSUMER`. A new file here is a new consumer."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consumers.timing import Timing
from consumers.worker import PREFETCH, Handle
from events.bus import Bus
from events.topology import Queue
from integrations.access import Opener
from integrations.sealing import Keyring
from schema.postgres import Database

Background = Callable[["Resources"], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a handler may use.

    Attributes:
        database: under the consumer's own role.
        bus: to publish what was applied.
        keyring: opens and seals.
        opener: opens integrations, to ask their sources.
        public_url: where sources reach ingest; None when nobody said.
        timing: of the upkeep and of bursts.
        now: the clock.
        wake: set it to have the outbox relayed at once.
        knock: set it to have a job taken at once.
        stop: set when the program ends.
    """

    database: Database
    bus: Bus
    keyring: Keyring
    opener: Opener
    public_url: str | None
    timing: Timing
    now: Callable[[], datetime]
    wake: Any
    knock: Any
    stop: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """One consumer.

    Attributes:
        name: on the command line.
        role: the database role it works under.
        queue: its queue; None for one that works on its own timer.
        build: its handler, if it has a queue.
        background: what runs beside it until `stop`.
        concurrency: batches in hand at a time.
        prefetch: deliveries in hand at a time.
    """

    name: str
    role: str
    queue: Queue | None = None
    build: Callable[[Resources], Handle] | None = None
    background: Sequence[Background] = ()
    concurrency: int = 1
    prefetch: int = PREFETCH


@functools.cache
def consumers() -> Mapping[str, Consumer]:
    """All consumers by name. Raises `ValueError` when two files take the same name."""
    found: dict[str, Consumer] = {}
    for module in pkgutil.iter_modules(__path__):
        consumer: Consumer = importlib.import_module(f"{__name__}.{module.name}").CONSUMER
        if consumer.name in found:
            raise ValueError(f"two consumers are called {consumer.name}")
        found[consumer.name] = consumer
    return found
