"""What `make containers` runs fits the page and the files; running it is `make containers`."""

from __future__ import annotations

import re
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Final

import pytest

from tests.containers.__main__ import AFTER, DOORS, PORTS, after
from tests.containers.checks import GRACE_SECONDS, away
from tests.containers.engine import cleaned
from tests.containers.front import Front
from tests.containers.images import HERE, named
from tests.containers.stack import COMPOSE as COMMAND
from tests.deploy.reading import COMPOSE, commands, compose
from tests.services.server import free_port
from tests.walk.promises import Failure

RULES: Final = """\
*filter
:INPUT ACCEPT [1:40]
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o br-0123456789ab -j ACCEPT
-A INPUT -p tcp --dport 22 -j ACCEPT
COMMIT
"""


def test_every_command_of_the_page_is_known() -> None:
    """And nothing is looked at after a command that is not there; its own commands are the page's."""
    lines = commands(COMPOSE)
    assert [words for words in AFTER if not any(words in line for line in lines)] == []
    assert [after(line) for line in lines]
    assert any(line.startswith(COMMAND) for line in lines)
    with pytest.raises(Failure, match="nothing here knows"):
        after("docker compose pull")


def test_every_image_has_a_stand_in() -> None:
    """By the name that the compose file and the Containerfile have for it."""
    targets = set(re.findall(r"^FROM debian AS (\w+)$", (HERE / "Containerfile").read_text(), re.MULTILINE))
    assert named().keys() == targets


def test_ports_and_times_are_the_files() -> None:
    """What must be free is what is published; a stop is given as long as the file gives it."""
    services = compose()["services"]
    published = [str(port).removeprefix("127.0.0.1:") for one in services.values() for port in one.get("ports", ())]
    assert published[0].startswith(f"{DOORS[0]}-{DOORS[1]}:")
    assert {int(port.partition(":")[0]) for port in published[1:]} == set(PORTS) - set(DOORS)
    assert services["ingest"]["stop_grace_period"] == f"{GRACE_SECONDS}s"


def test_only_an_engines_rules_are_taken_back() -> None:
    """Others' stay, and the policy goes back to what it was."""
    left = cleaned(RULES, refusing=True).splitlines()
    assert left == ["*filter", ":INPUT ACCEPT [1:40]", ":FORWARD ACCEPT [0:0]",
                    "-A INPUT -p tcp --dport 22 -j ACCEPT", "COMMIT"]  # fmt: skip
    assert ":FORWARD DROP [0:0]" in cleaned(RULES, refusing=False)


def test_how_long_nobody_answered() -> None:
    """Told from outside, to a tenth of a second or so."""
    with away(f"http://127.0.0.1:{free_port()}/") as longest:
        time.sleep(0.6)
    assert 0.4 < longest() < 5


class _Door(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"in")

    def log_message(self, *_: object) -> None:
        pass


def test_what_one_door_refuses_goes_through_the_other() -> None:
    """Every request is answered while one of two is shut; with both shut the connection is closed."""
    with HTTPServer(("127.0.0.1", 0), _Door) as open_door:
        Thread(target=open_door.serve_forever, daemon=True).start()
        with Front([free_port(), open_door.server_port]) as front:
            for _ in range(4):
                with urllib.request.urlopen(front.url, timeout=5) as answer:  # noqa: S310  loopback
                    assert answer.read() == b"in"
        open_door.shutdown()
    with Front([free_port()]) as shut, pytest.raises(OSError, match=r"."):
        urllib.request.urlopen(shut.url, timeout=5)  # noqa: S310  loopback
