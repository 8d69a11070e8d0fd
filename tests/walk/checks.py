"""What is looked at on the way: is it as the page says? Each says in one line what it saw, or is a `Failure`."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from deploy.grafana import make
from tests.deploy.reading import PAGE
from tests.deploy.test_scrape import NOT_HERE, WINDOW
from tests.walk.machine import Failure, Machine

PROMETHEUS: Final = "http://127.0.0.1:9090/api/v1"
KNOWLEDGE: Final = ("http://127.0.0.1:8101", "http://127.0.0.1:8106")
"""The two replicas, by their metrics."""
PROGRAMS: Final = (8080, 8081, *range(8101, 8106))
LOOPBACK: Final = re.compile(r"[0-9A-F]{6}7F|0{24}01000000|0{16}FFFF0000[0-9A-F]{6}7F")
"""An address of /proc/net/tcp and tcp6 that is this machine itself."""
LISTENS: Final = "0A"


def ready(machine: Machine) -> str:
    """Every program that is enabled says that it is ready."""
    second = "knowledge-2" in machine.run("systemctl list-units --plain --no-legend 'kb-ingest-consume@*'")
    ports = [*PROGRAMS, 8106] if second else list(PROGRAMS)
    away: list[int] = []

    def all_ready() -> bool:
        away[:] = [port for port in ports if _get(f"http://127.0.0.1:{port}/readyz") is None]
        return not away

    _until(all_ready, 90, lambda: f"not ready: {away}")
    return f"{len(ports)} programs are ready"


def on_loopback(machine: Machine) -> str:
    """No process of the machine listens on another address."""
    own = {file for pid in machine.processes() for file in _open_files(pid)}
    listening = []
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == LISTENS and f"socket:[{words[9]}]" in own:
                address, _, port = words[1].partition(":")
                listening.append((int(port, 16), LOOPBACK.fullmatch(address) is not None))
    if outside := sorted(port for port, inside in listening if not inside):
        raise Failure(f"listened on from outside: {outside}")
    return f"{len(listening)} sockets listen, all on loopback"


def rated(machine: Machine) -> str:
    """Each unit is rated as the page says."""
    said = re.search(r"rates each ([\d.]+)", PAGE.read_text())
    assert said is not None
    units = machine.run("systemctl list-units --plain --no-legend 'kb-ingest*.service'").split("\n")
    names = [line.split()[0] for line in units if line]
    for name in names:
        verdict = machine.run(f"systemd-analyze security --no-pager {name}").strip().rpartition("\n")[2]
        if f": {said[1]} OK" not in verdict:
            raise Failure(f"{verdict}; the page says {said[1]}")
    return f"{len(names)} units are rated {said[1]}"


def scraped(_machine: Machine) -> str:
    """Prometheus reaches every target that its file names, and evaluates every alert."""
    configured = {
        "ingest": 1,
        "gallery": 1,
        "rabbitmq": 1,
        "consume": 5 if _get(f"{KNOWLEDGE[1]}/readyz") is None else 6,
    }
    found: dict[str, int] = {}

    def all_up() -> bool:
        found.clear()
        for target in (_asked("targets") or {"activeTargets": ()})["activeTargets"]:
            job = target["labels"]["job"]
            found[job] = found.get(job, 0) + (target["health"] == "up")
        return found == configured

    _until(all_up, 90, lambda: f"targets that are up: {found}, configured: {configured}")
    rules = [rule for group in _asked("rules")["groups"] for rule in group["rules"]]
    if unwell := [rule["name"] for rule in rules if rule["health"] == "err"]:
        raise Failure(f"alerts that cannot be evaluated: {unwell}")
    return f"{sum(found.values())} targets are up, {len(rules)} alerts are evaluated"


def shared(_machine: Machine) -> str:
    """Both replicas apply what is delivered."""
    before = [_applied(url) for url in KNOWLEDGE]
    _until(
        lambda: all(_applied(url) > was + 20 for url, was in zip(KNOWLEDGE, before, strict=True)), 60,
        lambda: f"applied by each: {before}, then {[_applied(url) for url in KNOWLEDGE]}",
    )  # fmt: skip
    return "both `knowledge` apply what is delivered: " + ", ".join(f"{_applied(url):.0f}" for url in KNOWLEDGE)


def killed(machine: Machine) -> str:
    """One of the two is killed under load: the other goes on, and systemd brings it back to work."""
    ask = "systemctl show --property MainPID --value kb-ingest-consume@knowledge-2"
    victim = machine.run(ask).strip()
    machine.run(f"kill -9 {victim}")
    other = _applied(KNOWLEDGE[0])
    _until(lambda: machine.run(ask).strip() not in ("0", victim), 30, lambda: "systemd did not restart it")
    _until(lambda: _applied(KNOWLEDGE[1]) > 20, 60, lambda: "restarted, it applies nothing")
    if (went_on := _applied(KNOWLEDGE[0]) - other) <= 0:
        raise Failure("the other one did not go on")
    return f"one killed: restarted, it has applied {_applied(KNOWLEDGE[1]):.0f}, the other {went_on:.0f} meanwhile"


def dashboards(_machine: Machine) -> str:
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

    _until(all_answered, 120, lambda: f"no data for {silent}")
    empty = "; ".join(f"{title}: {query}" for title, query in silent)
    return f"{len(queries) - len(silent)} of {len(queries)} queries have data" + (f"; empty: {empty}" if empty else "")


def updated(machine: Machine) -> str:
    """The later version runs, and its migration was made."""
    if _sql(machine, "SELECT to_regclass('kb.walked')") != "kb.walked":
        raise Failure("the update's migration was not made")
    return "the later version migrated"


def nothing_lost(machine: Machine) -> str:
    """The simulated people rest; everything they delivered was taken, is kept and has been applied."""
    said: list[str] = []

    def rested() -> bool:
        log = machine.run("journalctl --unit clickup-simulator --output cat")
        said[:] = re.findall(r'"(?:delivered|lost)": (\d+)', log)
        return len(said) > 0

    _until(rested, 420, lambda: "the simulated people do not rest", every=5)
    delivered, lost = map(int, said)
    if lost:
        raise Failure(f"{lost} deliveries were given up, {delivered} taken")
    left: dict[str, str] = {}

    def applied() -> bool:
        left.clear()
        for what in ("events list --outcome failed", "events list --outcome waiting", "dead list"):
            if (found := machine.run(f"kb-ingest {what} --json").strip()) != "[]":
                left[what] = found[:300]
        return not left

    _until(applied, 60, lambda: f"{left}", every=5)
    kept = int(_sql(machine, "SELECT count(*) FROM kb.journal"))
    if kept < delivered:
        raise Failure(f"{delivered} deliveries were taken, {kept} are in the journal")
    return f"{delivered} deliveries taken and {kept} journaled, none lost, failed, waiting or dead"


def equal(machine: Machine) -> str:
    """Both sides are, once a sync has read what no webhook tells."""
    machine.run(f"kb-ingest sync {_integration(machine)}", 120)
    machine.run(f"kb-ingest sync {_integration(machine)} --verify", 120)
    count = _sql(machine, "SELECT count(*) FROM kb.objects WHERE deleted_at IS NULL")
    silent = _sql(machine, "SELECT count(*) FROM kb.missed_changes")
    return f"equal to ClickUp: {count} objects; of {silent} changes no webhook told"


def late_database(machine: Machine) -> str:
    """A database that comes after the programs is waited for, by `migrate` too."""
    machine.run("systemctl stop kb-ingest.target kb-ingest-migrate postgresql")
    machine.run("systemctl start kb-ingest.target")
    machine.run("sleep 8; systemctl start postgresql")
    ready(machine)
    _until(
        lambda: machine.run("systemctl is-active kb-ingest-migrate || true").strip() == "active", 30,
        lambda: "kb-ingest-migrate did not try again",
    )  # fmt: skip
    return "PostgreSQL came 8 s after the programs: all are ready"


def rebooted(machine: Machine) -> str:
    """After a reboot everything is back without anybody."""
    before = machine.leader
    machine.run("systemctl reboot")
    machine.await_start(after=before)
    ready(machine)
    scraped(machine)
    failed = machine.run("systemctl list-units --failed --plain --no-legend").strip()
    if failed:
        raise Failure(f"units failed: {failed}")
    return "rebooted: every program and Prometheus's every target is back"


def removed(machine: Machine) -> str:
    """Nothing of it is left."""
    left = {
        "units": machine.run("systemctl list-unit-files --no-legend 'kb-ingest*' || true"),
        "processes": "".join(name for name in _commands(machine) if "/opt/kb-ingest" in name),
        "files": machine.run(
            "ls -d /etc/kb-ingest /opt/kb-ingest /etc/systemd/system/*/kb-ingest* 2>/dev/null || true"
        ),
        "roles": _sql(machine, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'kb%'", "postgres"),
        "queues": machine.run("rabbitmqctl list_vhosts --silent | grep --line-regexp kb || true"),
    }
    if found := {what: said.strip() for what, said in left.items() if said.strip()}:
        raise Failure(f"left behind: {found}")
    return "nothing is left"


def _until(true: Callable[[], bool], within: float, why: Callable[[], str], *, every: float = 1.0) -> None:
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            raise Failure(why())
        time.sleep(every)


def _commands(machine: Machine) -> list[str]:
    found = []
    for pid in machine.processes():
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    return found


def _open_files(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                yield str(descriptor.readlink())


def _get(url: str) -> str | None:
    """What is answered with 200, else None."""
    with suppress(OSError, urllib.error.HTTPError), urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  loopback
        return str(answer.read().decode())
    return None


def _asked(path: str) -> Any:
    """Prometheus's answer, None while it has none."""
    answer = _get(f"{PROMETHEUS}/{path}")
    return None if answer is None else json.loads(answer)["data"]


def _series(query: str) -> list[Any]:
    """What a query gives now; numbers that are none are left out."""
    told = _asked(f"query?{urllib.parse.urlencode({'query': query})}")
    if told is None:
        raise Failure(f"Prometheus refuses {query}")
    return [one for one in told["result"] if one["value"][1] != "NaN"]


def _applied(url: str) -> float:
    """How many deliveries a `knowledge` has applied since it began."""
    found = re.search(
        r'^kb_consumer_deliveries_total\{consumer="knowledge",outcome="done"\} (\S+)$',
        _get(f"{url}/metrics") or "",
        re.MULTILINE,
    )
    return float(found[1]) if found else 0.0


def _integration(machine: Machine) -> str:
    """The id of the one that there is."""
    (one,) = json.loads(machine.run("kb-ingest integration list --json"))
    return str(one["id"])


def _sql(machine: Machine, query: str, database: str = "kb") -> str:
    """One value, asked as the server's own user."""
    return machine.run(f'su - postgres -c "psql --no-align --tuples-only {database}" <<< "{query}"').strip()
