"""`make containers`: the image and the compose file, on an engine of its own.

Does every command of docs/deploying.md's section on Compose, one after the other, in a copy of this repository, and
looks whether what the page promises is so; meanwhile the simulated people's signed webhooks keep coming. What the image
is made from, and the servers, are stand-ins under the same names. It ends with 1 at the first thing that is not as
written.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.containers import checks, images
from tests.containers.engine import Engine
from tests.containers.front import Front
from tests.containers.stack import Stack
from tests.deploy.reading import COMPOSE, commands
from tests.services.server import ServiceError
from tests.walk import promises
from tests.walk.promises import Failure, free, say

DOORS: Final = (8080, 8081)
PORTS: Final = (*DOORS, 8090, 9090, 3000)

Check = Callable[[Stack], str]
AFTER: Final[Mapping[str, tuple[Check, ...]]] = {
    "docker build": (lambda stack: images.inspected(stack.engine, "kb-ingest:0.1.0"),),
    "cp deploy/example.env": (Stack.fill_in,),
    "up --detach --wait": (checks.healthy, checks.confined, checks.scraped, Stack.connect),
    "migrate doctor": (),
    "--scale": (
        checks.shared,
        checks.killed,
        checks.scraped,
        checks.stopped,
        checks.servers_restarted,
        checks.updated,
        checks.scraped,
        lambda _: promises.dashboards(),
        promises.nothing_lost,
        promises.equal,
        checks.removed,
    ),
}
"""What is looked at after which command, known by some words of it."""


def main() -> int:
    """Do it; 0 if all is as written."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the engine ends, too
    argparse.ArgumentParser(prog="python -m tests.containers").parse_args()
    folder = Path(tempfile.mkdtemp(prefix="containers-"))
    began = time.monotonic()
    try:
        free(PORTS)
        engine = Engine(folder)
        try:
            say("== an engine, and stand-ins for the images")
            say(f"   {engine.start()}")
            for name in images.stand_ins(engine):
                say(f"   {name}")
            with Front(DOORS) as front:
                _walk(Stack(engine, front.url))
        finally:
            engine.stop()
    except (Failure, ServiceError) as failure:
        say(f"FAILED: {failure}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"done in {(time.monotonic() - began) / 60:.1f} minutes")
    return 0


def _walk(stack: Stack) -> None:
    for line in commands(COMPOSE):
        say(f"== {line}")
        began = time.monotonic()
        stack.do(line, 600)
        for look in (lambda _: "done", *after(line)):
            said = look(stack)
            say(f"   {said} [{time.monotonic() - began:.0f} s]")
            began = time.monotonic()


def after(line: str) -> tuple[Check, ...]:
    """What is looked at after a command of the page."""
    found = [looks for words, looks in AFTER.items() if words in line]
    if len(found) != 1:
        raise Failure(f"the page has a command that nothing here knows: {line}")
    return found[0]


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        raise SystemExit(main())
