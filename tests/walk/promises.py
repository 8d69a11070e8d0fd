"""What every installation keeps, however it was made. Each says in one line what it saw, or is a `Failure`."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from deploy.grafana import make
from tests.deploy.test_scrape import NOT_HERE, WINDOW

PROMETHEUS: Final = "http://127.0.0.1:9090/api/v1"


class Failure(Exception):
    """What was seen instead of what was promised, in one line or with the last words of a command."""


class Installation(Protocol):
    """One that runs, and that simulated people deliver to."""

    def operate(self, words: str, within: float = 60) -> str:
        """What an operator's command says, `kb-ingest` left out; a `Failure` when it fails."""

    def sql(self, query: str, database: str = "kb") -> str:
        """One value, asked as the database's superuser."""

    def simulator(self) -> str:
        """All that the simulator has said."""


def scraped(configured: Mapping[str, int]) -> str:
    """Prometheus reaches so many targets of each job, and no others, and evaluates every alert."""
    found: dict[str, int] = {}

    def all_up() -> bool:
        found.clear()
        for target in (asked("targets") or {"activeTargets": ()})["activeTargets"]:
            job = target["labels"]["job"]
            found[job] = found.get(job, 0) + (target["health"] == "up")
        return found == configured

    until(all_up, 90, lambda: f"targets that are up: {found}, configured: {configured}")
    rules = [rule for group in asked("rules")["groups"] for rule in group["rules"]]
    if unwell := [rule["name"] for rule in rules if rule["health"] == "err"]:
        raise Failure(f"alerts that cannot be evaluated: {unwell}")
    return f"{sum(found.values())} targets are up, {len(rules)} alerts are evaluated"


def dashboards() -> str:
    """Every query of the dashboards has data, but for those of panels that are empty where all is well."""
    panels = [panel for path, _ in make.files() for panel in json.loads(path.read_text())["panels"]]
    queries = [
        (panel["title"], target["expr"].replace("$__rate_interval", WINDOW))
        for panel in panels
        for target in panel["targets"]
    ]
    silent: list[tuple[str, str]] = []

    def all_answered() -> bool:
        silent[:] = [(title, query) for title, query in queries if not _series(query)]
        return all(title in NOT_HERE for title, _ in silent)

    until(all_answered, 120, lambda: f"no data for {silent}")
    empty = "; ".join(f"{title}: {query}" for title, query in silent)
    return f"{len(queries) - len(silent)} of {len(queries)} queries have data" + (f"; empty: {empty}" if empty else "")


def nothing_lost(installation: Installation) -> str:
    """The simulated people rest; everything they delivered was taken, is kept and has been applied."""
    said: list[str] = []

    def rested() -> bool:
        said[:] = re.findall(r'"(?:delivered|lost)": (\d+)', installation.simulator())
        return len(said) > 0

    until(rested, 420, lambda: "the simulated people do not rest", every=5)
    delivered, lost = map(int, said)
    if lost:
        raise Failure(f"{lost} deliveries were given up, {delivered} taken")
    left: dict[str, str] = {}

    def settled() -> bool:
        left.clear()
        for what in ("events list --outcome failed", "events list --outcome waiting", "dead list"):
            if (found := installation.operate(f"{what} --json").strip()) != "[]":
                left[what] = found[:300]
        return not left

    until(settled, 60, lambda: f"{left}", every=5)
    kept = int(installation.sql("SELECT count(*) FROM kb.journal"))
    if kept < delivered:
        raise Failure(f"{delivered} deliveries were taken, {kept} are in the journal")
    return f"{delivered} deliveries taken and {kept} journaled, none lost, failed, waiting or dead"


def equal(installation: Installation) -> str:
    """Both sides are, once a sync has read what no webhook tells."""
    (one,) = json.loads(installation.operate("integration list --json"))
    installation.operate(f"sync {one['id']}", 120)
    installation.operate(f"sync {one['id']} --verify", 120)
    count = installation.sql("SELECT count(*) FROM kb.objects WHERE deleted_at IS NULL")
    silent = installation.sql("SELECT count(*) FROM kb.missed_changes")
    return f"equal to ClickUp: {count} objects; of {silent} changes no webhook told"


def say(line: str) -> None:
    """How far it is, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def free(ports: tuple[int, ...]) -> None:
    """A `Failure` if one of them is taken."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104  it does not listen
            except OSError:
                raise Failure(f"port {port} is taken, and what is walked shares this machine's network") from None


def until(true: Callable[[], bool], within: float, why: Callable[[], str], *, every: float = 1.0) -> None:
    """Wait for it; a `Failure` that says why, when it takes too long."""
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            raise Failure(why())
        time.sleep(every)


def get(url: str) -> str | None:
    """What is answered with 200, else None."""
    with suppress(OSError, urllib.error.HTTPError), urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  loopback
        return str(answer.read().decode())
    return None


def asked(path: str) -> Any:
    """Prometheus's answer, None while it has none."""
    answer = get(f"{PROMETHEUS}/{path}")
    return None if answer is None else json.loads(answer)["data"]


def _series(query: str) -> list[Any]:
    """What a query gives now; numbers that are none are left out."""
    told = asked(f"query?{urllib.parse.urlencode({'query': query})}")
    if told is None:
        raise Failure(f"Prometheus refuses {query}")
    return [one for one in told["result"] if one["value"][1] != "NaN"]


def applied(url: str) -> float:
    """How many deliveries a `knowledge` has applied since it began."""
    found = re.search(
        r'^kb_consumer_deliveries_total\{consumer="knowledge",outcome="done"\} (\S+)$',
        get(f"{url}/metrics") or "",
        re.MULTILINE,
    )
    return float(found[1]) if found else 0.0
