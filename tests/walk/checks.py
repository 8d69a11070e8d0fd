"""What is looked at on one machine: is it as the page says? Each says in one line what it saw, or is a `Failure`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.deploy.reading import PAGE
from tests.walk import promises
from tests.walk.machine import Machine
from tests.walk.promises import Failure, applied, get, until

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
        away[:] = [port for port in ports if get(f"http://127.0.0.1:{port}/readyz") is None]
        return not away

    until(all_ready, 90, lambda: f"not ready: {away}")
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
    """Prometheus reaches every target that its file names."""
    consumers = 5 if get(f"{KNOWLEDGE[1]}/readyz") is None else 6
    return promises.scraped({"ingest": 1, "gallery": 1, "rabbitmq": 1, "consume": consumers})


def shared(_machine: Machine) -> str:
    """Both replicas apply what is delivered."""
    before = [applied(url) for url in KNOWLEDGE]
    until(
        lambda: all(applied(url) > was + 20 for url, was in zip(KNOWLEDGE, before, strict=True)), 60,
        lambda: f"applied by each: {before}, then {[applied(url) for url in KNOWLEDGE]}",
    )  # fmt: skip
    return "both `knowledge` apply what is delivered: " + ", ".join(f"{applied(url):.0f}" for url in KNOWLEDGE)


def killed(machine: Machine) -> str:
    """One of the two is killed under load: the other goes on, and systemd brings it back to work."""
    ask = "systemctl show --property MainPID --value kb-ingest-consume@knowledge-2"
    victim = machine.run(ask).strip()
    machine.run(f"kill -9 {victim}")
    other = applied(KNOWLEDGE[0])
    until(lambda: machine.run(ask).strip() not in ("0", victim), 30, lambda: "systemd did not restart it")
    until(lambda: applied(KNOWLEDGE[1]) > 20, 60, lambda: "restarted, it applies nothing")
    if (went_on := applied(KNOWLEDGE[0]) - other) <= 0:
        raise Failure("the other one did not go on")
    return f"one killed: restarted, it has applied {applied(KNOWLEDGE[1]):.0f}, the other {went_on:.0f} meanwhile"


def updated(machine: Machine) -> str:
    """The later version runs, and its migration was made."""
    if machine.sql("SELECT to_regclass('kb.walked')") != "kb.walked":
        raise Failure("the update's migration was not made")
    return "the later version migrated"


def late_database(machine: Machine) -> str:
    """A database that comes after the programs is waited for, by `migrate` too."""
    machine.run("systemctl stop kb-ingest.target kb-ingest-migrate postgresql")
    machine.run("systemctl start kb-ingest.target")
    machine.run("sleep 8; systemctl start postgresql")
    ready(machine)
    until(
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
        "roles": machine.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'kb%'", "postgres"),
        "queues": machine.run("rabbitmqctl list_vhosts --silent | grep --line-regexp kb || true"),
    }
    if found := {what: said.strip() for what, said in left.items() if said.strip()}:
        raise Failure(f"left behind: {found}")
    return "nothing is left"


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
