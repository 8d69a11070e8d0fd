"""The search of the knowledge base with a million objects: words that stand in every fourth body, and in hardly any.

    SIZE=1000000 python -m bench.searching

The target is what must be done, on a warm cache: a posting list is decoded at some 50 ns an entry; each hit, of 2,000
at most, is read and ranked at some 10 µs; 20 excerpts are cut at some 150 µs; round trips and planning take 1 ms.
"""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack
from typing import Any, Final

import asyncpg
import uvloop
from rich.console import Console

from bench import cases, filling, scratch
from bench.cases import Case
from schema.postgres import Database
from tests.services.postgres import find_postgres

SIZE: Final = int(os.environ.get("SIZE", "1000000"))
STATEMENT: Final = "gallery_search"
LIMIT: Final = 20
ENTRY_MS, HIT_MS, EXCERPT_MS, TRIPS_MS = 50e-6, 0.01, 0.15, 1.0
HITS: Final = 2_000
SAMPLES: Final = 8
LETTERS: Final = str.maketrans("0123456789", "etaoinshrd")


def word(rank: int) -> str:
    """The word of this rank: what `filling.PREPARE` writes for it."""
    return str(rank + 9).translate(LETTERS)


def target(entries: float, hits: float) -> float:
    """Milliseconds for so many entries of posting lists, and so many rows that match."""
    return round(entries * ENTRY_MS + min(hits, HITS) * HIT_MS + min(hits, LIMIT) * EXCERPT_MS + TRIPS_MS, 1)


async def main() -> None:
    """Measure and print."""
    async with AsyncExitStack() as stack:
        server = find_postgres()
        stack.callback(server.close)
        await asyncio.to_thread(server.start)
        url = await scratch.database(stack, server.url, "kb_bench_searching")
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        await connection.execute(filling.PREPARE)
        async with filling.bare(connection, ["kb.objects", "kb.relationships"]):
            await filling.fill(url, filling.OBJECTS, 0, SIZE - 1, what=f"{SIZE:,} objects")
        database = await Database(url, program="bench", role="kb_gallery").open()
        stack.push_async_callback(database.close)
        answers = await cases.ask(database.of(filling.ORG, None), await questions(connection))
    cases.show(f"search, {SIZE:,} objects", answers)
    Console().print(
        f"Bodies of some 200 characters, {filling.VOCABULARY:,} words as often as Zipf says; {LIMIT} of the best "
        f"{HITS:,}; {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}.",
        style="dim",
    )


async def questions(connection: Any) -> list[Case]:
    """What is asked: words by how common they are."""
    dice = random.Random(5)  # noqa: S311  a choice, not a secret

    def words(low: int, high: int, many: int = 1) -> list[str]:
        return [" ".join(word(dice.randrange(low, high)) for _ in range(many)) for _ in range(cases.CALLS + cases.WARM)]

    made: list[tuple[str, list[str]]] = [
        ("a word of every tenth body", words(30, 60)),
        ("a word of every hundredth", words(300, 600)),
        ("a rare word", words(10_000, 19_000)),
        ("two words of every tenth body", words(30, 60, 2)),
        ("a common and a rare word", [f"{word(40)} {one}" for one in words(10_000, 19_000)]),
        ("a phrase of two words", [f'"{one}"' for one in words(30, 60, 2)]),
        ("a beginning of two letters", [word(dice.randrange(1, 80))[:2] for _ in range(cases.CALLS + cases.WARM)]),
        ("a word that is nowhere", ["qqq"] * (cases.CALLS + cases.WARM)),
    ]
    return [await _case(connection, what, texts) for what, texts in made]


async def _case(connection: Any, what: str, texts: list[str]) -> Case:
    """The question with its target, from what eight of its texts find."""
    entries, read, hits = 0.0, 0.0, 0.0
    for text in texts[:SAMPLES]:
        exact, words = text.startswith('"'), text.strip('"').split()
        asked = [f"'{one}'" + ("" if exact or one != words[-1] else ":*") for one in words]
        entries += sum([await _count(connection, one) for one in asked]) / SAMPLES
        read += await _count(connection, " & ".join(asked)) / SAMPLES
        hits += await _count(connection, (" <-> " if exact else " & ").join(asked)) / SAMPLES
    return Case(
        what=f"{what} ({hits:,.0f} objects)", statement=STATEMENT, target=target(entries, read),
        arguments=lambda number: (texts[number], None, None, LIMIT),
    )  # fmt: skip


async def _count(connection: Any, query: str) -> float:
    found = await connection.fetchval("SELECT count(*) FROM kb.objects WHERE search @@ $1::text::tsquery", query)
    return float(found)


if __name__ == "__main__":
    uvloop.run(main())
