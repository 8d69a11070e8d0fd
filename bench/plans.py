"""The plans of the hot statements as the programs' own functions run them: which index serves which, how many rows
each reads. With statistics and without, as after an installation, a restore or an upgrade of the server; with plans
made for the values, and with one for all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import orjson
from rich.console import Console
from rich.table import Table

from bench.batches import Batch, single
from schema.postgres import QUERIES

MODES: Final = ("force_custom_plan", "force_generic_plan")
SETTINGS: Final = (
    "LOAD 'auto_explain'", "SET auto_explain.log_min_duration = 0", "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_timing = off", "SET auto_explain.log_buffers = on", "SET auto_explain.log_format = json",
    "SET client_min_messages = log",
)  # fmt: skip
FORGET_STATISTICS: Final = """
    DELETE FROM pg_statistic WHERE starelid::regclass::text LIKE 'kb.%';
    UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relkind IN ('r', 'i') AND oid::regclass::text LIKE 'kb.%'"""
UNUSED: Final = """
    SELECT coalesce(p.inhparent, i.indexrelid)::regclass::text AS index,
        pg_size_pretty(sum(pg_relation_size(i.indexrelid))) AS size
    FROM pg_index i
    JOIN pg_stat_user_indexes s USING (indexrelid)
    LEFT JOIN pg_inherits p ON p.inhrelid = i.indexrelid
    LEFT JOIN pg_inherits t ON t.inhrelid = i.indrelid
    WHERE coalesce(t.inhparent, i.indrelid) IN (SELECT ('kb.' || name)::regclass FROM unnest($1::text[]) AS name)
      AND NOT i.indisunique
    GROUP BY 1 HAVING sum(s.idx_scan) = 0 ORDER BY 1"""
"""Indexes of these tables, those of partitions together, that nothing asked so far."""
NAMES: Final = {path.read_text().strip(): path.stem for path in QUERIES.glob("*.sql")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One node that reads a table or an index: what it is, rows it read and pages it touched."""

    what: str
    rows: int
    pages: int


@dataclass(slots=True)
class Watch:
    """The plans of what a connection runs, the last of each statement. `forget` what was seen before a part."""

    connection: Any
    plans: dict[str, list[Scan]] = field(default_factory=dict)

    async def begin(self) -> None:
        """Let the server tell this connection its plans."""
        for setting in SETTINGS:
            await self.connection.execute(setting)
        self.connection.add_log_listener(self._heard)

    def _heard(self, _connection: Any, message: Any) -> None:
        _, found, plan = str(message.message).partition("plan:\n")
        if found:
            told = orjson.loads(plan)
            if (name := NAMES.get(told["Query Text"].strip())) is not None:
                self.plans[name] = list(scans(told["Plan"]))


def scans(node: dict[str, Any]) -> Iterator[Scan]:
    """The nodes of a plan that read something themselves, those that were never run aside."""
    kind, loops = node["Node Type"], node.get("Actual Loops", 0)
    if kind.endswith("Scan") and kind not in {"CTE Scan", "WorkTable Scan", "Function Scan", "Subquery Scan"} and loops:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        of = node.get("Index Name") or node.get("Relation Name")
        pages = node.get("Shared Hit Blocks", 0) + node.get("Shared Read Blocks", 0)
        yield Scan(what=f"{kind} {of}", rows=round((node["Actual Rows"] + removed) * loops), pages=pages)
    for inner in node.get("Plans", ()):
        yield from scans(inner)


async def batches(connection: Any, size: int, *, mode: str, numbers: Iterator[int]) -> dict[str, list[Scan]]:
    """The plans of two batches, the second one's: the first finds whatever is cold."""
    watch, database = Watch(connection), await single(connection)
    await watch.begin()
    await connection.execute(f"SET plan_cache_mode = {mode}")
    for number in itertools.islice(numbers, 2):
        for step in Batch(database=database, size=size, number=number).steps().values():
            await step()
    return watch.plans


async def compare(url: str, size: int) -> None:
    """Print them: the mode that reads most first."""
    found: dict[tuple[str, str], dict[str, list[Scan]]] = {}
    numbers = itertools.count(1_000)
    for statistics in ("with statistics", "without"):
        for mode in MODES:
            connection = await asyncpg.connect(url)
            if statistics == "without":
                await connection.execute(FORGET_STATISTICS)
            found[statistics, mode] = await batches(connection, size, mode=mode, numbers=numbers)
            await connection.close()
    connection = await asyncpg.connect(url)
    await connection.execute("ANALYZE")
    await connection.close()
    show(found)


def show(found: dict[tuple[str, str], dict[str, list[Scan]]]) -> None:
    """A row a statement, with rows read in each state."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    grid.add_column("statement")
    for statistics, mode in found:
        grid.add_column(f"{statistics}, {mode.split('_')[1]}", justify="right")
    grid.add_column("scans")
    first = next(iter(found.values()))
    for name in sorted(first):
        read = [sum(scan.rows for scan in plans.get(name, ())) for plans in found.values()]
        if any(plans.get(name) for plans in found.values()):
            said = "; ".join(_said(plans.get(name, ())) for plans in _distinct(name, found))
            grid.add_row(name, *(f"{rows:,}" for rows in read), said)
    Console(width=200).print(grid)


def _distinct(name: str, found: dict[tuple[str, str], dict[str, list[Scan]]]) -> Iterator[dict[str, list[Scan]]]:
    seen = set[str]()
    for plans in found.values():
        if (said := " ".join(scan.what for scan in plans.get(name, ()))) not in seen:
            seen.add(said)
            yield plans


def _said(found: Sequence[Scan]) -> str:
    return " + ".join(f"{scan.what} ({scan.rows:,} rows, {scan.pages:,} pages)" for scan in found)
