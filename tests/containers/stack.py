"""The installation that docs/deploying.md makes with Compose, in a copy of this repository, and who delivers to it."""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.containers.engine import Engine
from tests.deploy.reading import ROOT
from tests.services.server import free_port, run
from tests.walk.promises import Failure, until

COMPOSE: Final = "docker compose --env-file deploy/.env --file deploy/compose.yaml"
RATE, CHANGES = 50, 15_000
WORKSPACE: Final = "90131576233"
TOKEN: Final = "pk_demo_of_the_simulated_workspace"
ORGANISATION: Final = "--org acme --project 7b0f6c1e-0c1f-4c39-8a36-0d6f5f0e2b11"
ONCE: Final = ("migrate", "logins")
SETTLED_SECONDS: Final = 120


class Stack:
    """It, as the page's commands have made it so far."""

    def __init__(self, engine: Engine, front: str) -> None:
        self.engine = engine
        self.place = engine.folder / "kb-ingest"
        self.front = front
        run(["git", "clone", "--quiet", str(ROOT), str(self.place)], 60)

    def do(self, line: str, within: float = 300) -> str:
        """What a command of the page says."""
        return self.engine.shell(line, self.place, within)

    def compose(self, words: str, within: float = 120) -> str:
        """What Compose says."""
        return self.do(f"{COMPOSE} {words}", within).strip()

    def operate(self, words: str, within: float = 60) -> str:
        """What an operator's command says."""
        return self.compose(f"--progress quiet run --rm --no-TTY migrate {words}", within)

    def sql(self, query: str, database: str = "kb") -> str:
        """One value, asked as the owner, who is a superuser here."""
        ask = ["psql", "--username=kb_owner", "--no-align", "--tuples-only", f"--command={query}", database]
        return self.compose(f"exec --no-TTY postgres {shlex.join(ask)}")

    def simulator(self) -> str:
        """All that it has said."""
        return self.engine.docker("logs", "simulator")

    def fill_in(self) -> str:
        """What `deploy/.env` leaves open; ClickUp is the simulator."""
        env = self.place / "deploy/.env"
        image = re.findall(r"^KB_IMAGE=(\S+)$", env.read_text(), re.MULTILINE)[0]
        key = self.engine.docker("run", "--rm", image, "keys", "generate")
        text = re.sub(r"^(\w+)_PASSWORD=$", lambda found: f"{found[0]}{secrets.token_hex(24)}", env.read_text(),
                      flags=re.MULTILINE)  # fmt: skip
        text = text.replace("INTEGRATION_ENCRYPTION_KEY=\n", f"INTEGRATION_ENCRYPTION_KEY={key}\n")
        env.write_text(re.sub(r"^PUBLIC_URL=.*$", f"PUBLIC_URL={self.front}", text, flags=re.MULTILINE))
        (network,) = json.loads(self.engine.docker("network", "inspect", "bridge"))
        host, port = network["IPAM"]["Config"][0]["Gateway"], free_port()
        (self.place / "deploy/programs.env").write_text(f"CLICKUP_API_URL=http://{host}:{port}/api\n")
        self.engine.docker(
            "run", "--detach", "--name=simulator", "--network=host", "--read-only", "--cap-drop=ALL",
            image, "simulate", f"--host={host}", f"--port={port}", f"--rate={RATE}", f"--changes={CHANGES}",
            "--limit=100000", "--json",
        )  # fmt: skip
        return f"{env.name} is filled in, {CHANGES} changes are to come, {RATE} a second"

    def connect(self) -> str:
        """The simulated workspace is, so its people deliver."""
        made = self.operate(
            f"integration create {ORGANISATION} --workspace {WORKSPACE} --token {TOKEN} --enable --json"
        )
        one = json.loads(made)["id"]
        self.operate(f"webhook register {one}")
        self.operate(f"import {one}", 180)
        count = self.sql("SELECT count(*) FROM kb.objects")
        return f"connected and imported: {count} objects"

    def containers(self, service: str = "") -> Sequence[dict[str, Any]]:
        """All that it has, or a service has, those that ended included, in the order of their names."""
        ids = self.compose(f"ps --all --quiet {service}").split()
        return sorted(json.loads(self.engine.docker("inspect", *ids)), key=lambda one: str(one["Name"]))

    def settled(self) -> Sequence[dict[str, Any]]:
        """All of them, once every one is healthy, or ended well if it is to end."""
        unwell: dict[str, str] = {}

        def well() -> bool:
            unwell.clear()
            for one in self.containers():
                state, name = one["State"], str(one["Name"])
                if service(one) in ONCE:
                    good = state["Status"] == "exited" and state["ExitCode"] == 0
                else:
                    good = state["Status"] == "running" and state["Health"]["Status"] == "healthy"
                if not good:
                    unwell[name] = f"{state['Status']} {state.get('Health', {}).get('Status', state['ExitCode'])}"
            return not unwell

        until(well, SETTLED_SECONDS, lambda: f"{unwell}: {self._last_words(next(iter(unwell), ''))}")
        return self.containers()

    def _last_words(self, name: str) -> str:
        try:
            return self.engine.shell(f"docker logs --tail 5 {name.strip('/')} 2>&1", Path("/"), 20)
        except Failure as failure:
            return str(failure)


def service(container: dict[str, Any]) -> str:
    """Whose it is."""
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def metrics(container: dict[str, Any]) -> str:
    """Where a consumer has its health and metrics, for this machine."""
    (network,) = container["NetworkSettings"]["Networks"].values()
    return f"http://{network['IPAddress']}:8082"
