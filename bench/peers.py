"""Who is measured by `bench.webhooks`: ours and others that do the same work.

Each is a process, built with what this machine can install.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.services.packages import install
from tests.services.server import ServiceError, free_port

OURS: Final = "kb-ingest"
CROWDED: Final = "kb-ingest, 100,000 integrations"
LEAST: Final = "Go, signature and publish only"
HERE: Final = Path(__file__).parent / "contestants"
GO_PACKAGES: Final = {
    "rabbitmq/amqp091-go": "golang-github-rabbitmq-amqp091-go-dev",
    "jackc/pgx": "golang-github-jackc-pgx-v4-dev",
    "gofrs/uuid": "golang-github-gofrs-uuid-dev",
    "prometheus/client_golang": "golang-github-prometheus-client-golang-dev",
}
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True, kw_only=True)
class Contestant:
    """One server at work. `environment`: what it needs besides what all are given."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self, common: Mapping[str, str]) -> None:
        """Start it; what it says goes nowhere, as a log collector would take it."""
        environment = {**os.environ, **common, **self.environment, "PORT": str(self.port)}
        self.process = subprocess.Popen(
            self.command, env=environment, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    @property
    def _processes(self) -> list[int]:
        assert self.process is not None  # noqa: S101  started first
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
        return found

    def cpu(self) -> float:
        """Seconds of processor time it has used."""
        times = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._processes]
        return sum(int(one[11]) + int(one[12]) for one in times) / TICKS

    def memory(self) -> float:
        """Megabytes that it holds at present."""
        held = [Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in self._processes]
        return sum(map(int, held)) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def end(self) -> None:
        """Stop it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def contestants(folder: Path, ours: Mapping[str, str], databases: Mapping[str, str]) -> list[Contestant]:
    """All that this machine can build; the ones it cannot are said and left out.

    `ours`: the configuration of our own, `databases`: one of them for each, by name.
    """
    command = [sys.executable, "-m", "cli", "ingest"]
    found = [
        *(
            Contestant(name=name, command=command, environment={**ours, "DATABASE_URL": url})
            for name, url in databases.items()
        ),
        _python(sys.executable, "FastAPI + aio-pika", "plain_fastapi"),
    ]
    for name, build in {"Go": _go, "Fastify": _fastify, "FastStream": _faststream}.items():
        try:
            found += build(folder, name)
        except (ServiceError, subprocess.SubprocessError, OSError) as error:
            Console(stderr=True).print(f"{name} is left out: {error}")
    return found


def _python(interpreter: str, name: str, module: str) -> Contestant:
    return Contestant(name=name, command=[interpreter, "-m", f"bench.contestants.{module}"], folder=HERE.parents[1])


def _go(folder: Path, name: str) -> list[Contestant]:
    program = [go_program(folder, "peer", ["rabbitmq/amqp091-go", "gofrs/uuid", "prometheus/client_golang"])]
    return [Contestant(name=name, command=program), Contestant(name=LEAST, command=program, environment={"LEAST": "1"})]


def go_program(folder: Path, source: str, libraries: Sequence[str]) -> str:
    """Build a Go program of `contestants` with libraries that Debian has; where it is.

    Raises:
        ServiceError: what it needs may not be or cannot be installed.
        subprocess.SubprocessError: it does not compile.
    """
    home = Path("/usr/share/gocode")
    missing = [GO_PACKAGES[one] for one in libraries if not (home / "src/github.com" / one).exists()]
    if missing or shutil.which("go") is None:
        install(["golang-go", *missing])
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(home), "GOCACHE": str(folder / "cache")}
    command = ["go", "build", "-o", str(folder / source), str(HERE / source / "main.go")]
    subprocess.run(command, env=environment, check=True, timeout=300)
    return str(folder / source)


def _fastify(folder: Path, name: str) -> list[Contestant]:
    flags = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    subprocess.run(
        ["npm", "install", *flags, "fastify@5.12.8", "amqplib@2.3.1", "prom-client@15.1.3"], check=True, timeout=300
    )
    shutil.copy(HERE / "fastify.mjs", folder)
    command = ["node", str(folder / "fastify.mjs")]
    return [Contestant(name=name, command=command, environment={"NODE_ENV": "production"})]


def _faststream(folder: Path, name: str) -> list[Contestant]:
    home = folder / "faststream"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=120)
    pip = [str(home / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    packages = ["faststream[rabbit]==0.7.8", "starlette", "uvicorn", "uvloop", "httptools", "prometheus-client"]
    subprocess.run([*pip, *packages], check=True, timeout=300)
    return [_python(str(home / "bin/python"), name, "plain_faststream")]
