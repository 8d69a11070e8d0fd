"""Every name on the broker, derived in one place from the consumer's name. Pure.

A consumer `knowledge` has the queue `kb.knowledge`, one retry queue for each step of the back-off ladder
(`kb.knowledge.retry.5s`, ...: a message waits there and falls back into the queue) and `kb.knowledge.dead`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

EXCHANGE: Final = "kb.events"
DEFAULT_LADDER: Final = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0)
"""Seconds between tries. The last step repeats. About a day passes before `consumers.outcome` gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One consumer's queue, with what belongs to it."""

    consumer: str
    bindings: tuple[str, ...]
    ladder: tuple[float, ...] = DEFAULT_LADDER

    @property
    def name(self) -> str:
        """Where its messages wait."""
        return f"kb.{self.consumer}"

    @property
    def dead(self) -> str:
        """Where messages end that cannot succeed, with the reason in their headers."""
        return f"{self.name}.dead"

    def retry(self, step: int) -> str:
        """The waiting queue of a step of the ladder; steps past its end are its last."""
        return f"{self.name}.retry.{duration(self.delay(step))}"

    def delay(self, step: int) -> float:
        """Seconds that a message waits at a step, from 0."""
        return self.ladder[min(step, len(self.ladder) - 1)]


KNOWLEDGE: Final = Queue(consumer="knowledge", bindings=("clickup.#",))
SYNC_STATE: Final = Queue(consumer="sync-state", bindings=("knowledge.#",))
JOURNAL: Final = Queue(consumer="journal", bindings=("clickup.#",))
IMPORTS: Final = Queue(consumer="imports", bindings=("import.#",))
SPOOL: Final = Queue(consumer="spool", bindings=())
"""In PostgreSQL only: takes what ingest accepted while the broker was away."""
QUEUES: Final = (KNOWLEDGE, SYNC_STATE, JOURNAL, IMPORTS)
"""Declared by every program at its start, so that nothing is unroutable before its consumer first ran."""


def duration(seconds: float) -> str:
    """A delay as it stands in a queue's name: `500ms`, `5s`, `2m`, `1h`."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def regex(pattern: str) -> str:
    """A topic pattern as a regular expression over the whole routing key (AMQP 0-9-1, section 3.1.3.3).

    `*` stands for one word, `#` for any number of words, words are separated by dots. The result means the same
    to Python's `re` and to PostgreSQL's `~`.
    """
    while "#.#" in pattern:
        pattern = pattern.replace("#.#", "#")
    if pattern == "#":
        return "^.*$"
    expression = ""
    for position, word in enumerate(pattern.split(".")):
        if word == "#":
            expression += r"([^.]+(\.[^.]+)*)?" if position == 0 else r"(\.[^.]+)*"
        else:
            expression += r"\." if position else ""
            expression += "[^.]+" if word == "*" else re.escape(word).replace(r"\-", "-")
    if pattern.startswith("#."):  # `#.a` also matches `a`: the words before it bring their own dot
        expression = r"([^.]+\.)*" + expression.removeprefix(r"([^.]+(\.[^.]+)*)?").removeprefix(r"\.")
    return f"^{expression}$"


def matches(patterns: Sequence[str], routing_key: str) -> bool:
    """Whether a routing key falls under one of the patterns."""
    return any(re.fullmatch(regex(pattern), routing_key) for pattern in patterns)
