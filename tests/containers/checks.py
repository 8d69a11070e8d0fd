"""What is looked at after a command of the page. Each says in one line what it saw, or is a `Failure`."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.containers.stack import ONCE, Stack, metrics, service
from tests.deploy.reading import compose
from tests.walk import promises
from tests.walk.promises import Failure, applied, get, until

LATER: Final = "CREATE TABLE kb.walked ();\n"
GRACE_SECONDS: Final = 45
WELL: Final = (0, 143)
"""How a program may end that was told to: uvicorn passes SIGTERM on to itself when all is done."""
KILL: Final = "import os; [os.kill(int(pid), 9) for pid in os.listdir('/proc') if pid.isdigit() and pid not in {one}]"


def healthy(stack: Stack) -> str:
    """Every service of the file runs and is healthy or ended well, and none had to be begun again."""
    found = stack.settled()
    wanted = compose()["services"].keys()
    if missing := wanted - {service(one) for one in found}:
        raise Failure(f"not there: {sorted(missing)}")
    if again := [one["Name"] for one in found if one["RestartCount"]]:
        raise Failure(f"had to be started again: {again}")
    return f"{len(found)} containers of {len(wanted)} services are healthy or ended well, none began twice"


def confined(stack: Stack) -> str:
    """No process of any container is root, has a capability, may get one, or is without seccomp's filter."""
    names = []
    for one in stack.containers():
        if service(one) in ONCE:
            continue
        told = stack.engine.docker("exec", one["Id"], "sh", "-c", "cat /proc/[0-9]*/status 2>/dev/null || true")
        processes = told.split("Name:\t")[1:]
        for process in processes:
            facts = dict(re.findall(r"^(\w+):\s+(.*)$", process, re.MULTILINE))
            if facts["Uid"].startswith("0\t") or int(facts["CapEff"], 16) or facts["NoNewPrivs"] != "1":
                raise Failure(f"{one['Name']} has a process with rights: {process[:60]!r}")
            if facts["Seccomp"] != "2":
                raise Failure(f"{one['Name']} has a process without a filter")
        names.append(one["Name"])
        if stack.engine.docker("exec", one["Id"], "sh", "-c", "touch /here 2>&1 || true") == "":
            raise Failure(f"{one['Name']} can write to its root")
    return f"in {len(names)} containers no process is root or has a capability, none can write to its container's root"


def scraped(stack: Stack) -> str:
    """Prometheus finds as many targets as there are containers."""
    names = [service(one) for one in stack.containers()]
    consumers = len(names) - sum(names.count(other) for other in OTHERS)
    return promises.scraped({"ingest": 2, "gallery": 1, "rabbitmq": 1, "consume": consumers})


OTHERS: Final = ("ingest", "gallery", "rabbitmq", "postgres", "prometheus", "grafana", *ONCE)


def shared(stack: Stack) -> str:
    """All replicas of `knowledge` apply what is delivered."""
    stack.settled()
    urls = [metrics(one) for one in stack.containers("knowledge")]
    before = [applied(url) for url in urls]
    until(
        lambda: all(applied(url) > was + 20 for url, was in zip(urls, before, strict=True)), 60,
        lambda: f"applied by each: {before}, then {[applied(url) for url in urls]}",
    )  # fmt: skip
    return f"{len(urls)} `knowledge` apply what is delivered: " + ", ".join(f"{applied(url):.0f}" for url in urls)


def killed(stack: Stack) -> str:
    """One of them is killed under load: the engine brings it back to work, and the others went on."""
    *others, victim = stack.containers("knowledge")
    before = sum(applied(metrics(one)) for one in others)
    python = "/opt/kb-ingest/bin/python"
    stack.engine.shell(f"docker exec {victim['Id']} {python} -c \"{KILL.replace('{one}', '(chr(49),)')}\" || true",
                       stack.place)  # fmt: skip

    def back() -> bool:
        (now,) = [one for one in stack.containers("knowledge") if one["Id"] == victim["Id"]]
        return int(now["RestartCount"]) == 1 and applied(metrics(now)) > 20

    until(back, 90, lambda: "killed, it did not come back to work")
    if (went_on := sum(applied(metrics(one)) for one in others) - before) <= 0:
        raise Failure("the others did not go on")
    return f"one killed: it is back and applies, the others applied {went_on:.0f} meanwhile"


def stopped(stack: Stack) -> str:
    """Each program drains within its time when it is told to stop, and works again when it is started."""
    said: list[str] = []
    for one in [one for one in stack.settled() if one["Config"]["User"] == "10001:10001"]:
        name = service(one)
        if name in ONCE or any(what.startswith(f"{name} ") for what in said):
            continue
        began = time.monotonic()
        stack.engine.docker("stop", one["Id"], within=GRACE_SECONDS + 15)
        took = time.monotonic() - began
        code = _state(stack, one)["ExitCode"]
        if code not in WELL or took > GRACE_SECONDS - 1:
            raise Failure(f"{name} ended with {code} after {took:.1f} s")
        stack.engine.docker("start", one["Id"])
        said.append(f"{name} {took:.1f} s ({code})")
    stack.settled()
    return f"stopped and started: {', '.join(said)}"


def servers_restarted(stack: Stack) -> str:
    """RabbitMQ and PostgreSQL are, one after the other, and all is healthy afterwards."""
    for name in ("rabbitmq", "postgres"):
        stack.compose(f"restart {name}")
        (one,) = stack.containers(name)
        if one["State"]["OOMKilled"]:
            raise Failure(f"{name} had too little memory")
        stack.settled()
    return "RabbitMQ and PostgreSQL restarted: all is healthy"


def updated(stack: Stack) -> str:
    """A later version with another migration is built and replaces the programs, and nothing else, under load."""
    servers = {one["Id"] for one in stack.containers() if one["Config"]["User"] != "10001:10001"}
    (stack.place / "schema/migrations/9999_walked.sql").write_text(LATER)
    stack.do("docker build --quiet --file deploy/Containerfile --tag kb-ingest:0.1.1 .")
    stack.do("sed --in-place 's/^KB_IMAGE=.*/KB_IMAGE=kb-ingest:0.1.1/' deploy/.env")
    with away(f"{stack.front}/healthz") as longest:
        stack.compose("up --detach --wait", 240)
    if stack.sql("SELECT to_regclass('kb.walked')") != "kb.walked":
        raise Failure("the update's migration was not made")
    now = stack.settled()
    images = {str(one["Config"]["Image"]) for one in now if one["Config"]["User"] == "10001:10001"}
    if images != {"kb-ingest:0.1.1"}:
        raise Failure(f"programs run as {sorted(images)}")
    kept = servers & {one["Id"] for one in now}
    return (
        f"updated: {len(now) - len(kept)} containers replaced, {len(kept)} servers left alone,"
        f" ingest away for {longest():.1f} s"
    )


@contextmanager
def away(url: str) -> Iterator[Callable[[], float]]:
    """Asks all the time while inside; afterwards it says for how long nobody answered at a stretch."""
    ended, stretches = threading.Event(), [0.0]

    def ask() -> None:
        last = time.monotonic()
        while not ended.wait(0.1):
            if get(url) is not None:
                last = time.monotonic()
            stretches.append(time.monotonic() - last)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield lambda: max(stretches)
    finally:
        ended.set()
        asking.join(15)


def removed(stack: Stack) -> str:
    """`down` leaves the data and nothing else."""
    stack.compose("down", 180)
    own = "--filter=label=com.docker.compose.project=kb-ingest"
    if left := stack.engine.docker("ps", "--all", "--quiet", own) + stack.engine.docker(
        "network", "ls", "--quiet", own
    ):
        raise Failure(f"left behind: {left}")
    kept = stack.engine.docker("volume", "ls", "--quiet", own).split()
    return f"down: no container, no network; kept: {', '.join(sorted(kept))}"


def _state(stack: Stack, container: dict[str, Any]) -> dict[str, Any]:
    (now,) = [one for one in stack.containers(service(container)) if one["Id"] == container["Id"]]
    return dict(now["State"])
