"""The programs as an operator runs them: real processes against real servers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.conftest import KEY, until
from tests.services.server import free_port

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a command ended."""

    code: int
    printed: bytes
    complaints: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.printed)


class Stack:
    """Starts programs with one configuration and ends what it started."""

    def __init__(self, folder: Path, *, amqp_url: str, database_url: str, clickup_url: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "PATH": os.environ["PATH"],
            "AMQP_URL": amqp_url,
            "DATABASE_URL": database_url,
            "CLICKUP_API_URL": clickup_url,
            "INTEGRATION_ENCRYPTION_KEY": KEY,
            "INGEST_PORT": str(self.port),
            "GALLERY_PORT": str(free_port()),
            "COALESCE_SECONDS": "0.3",
        }

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `kb-ingest WORDS` in the background; its log goes to a file of the test."""
        log = self.folder / f"{'-'.join(words[:2])}-{len(self.started)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli", *words], env=self.environment, stdout=stream, stderr=stream
            )
        self.started.append(process)
        return process

    async def run(self, *words: str, code: int = 0) -> str:
        """Run `kb-ingest WORDS` to its end; what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", *words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        async with asyncio.timeout(START_SECONDS):
            printed, complaints = await process.communicate()
        assert process.returncode == code, complaints.decode()
        return printed.decode() if code == 0 else complaints.decode()

    async def attempt(self, *words: str) -> Attempt:
        """Run a command to its end, whatever it is."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", *words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        async with asyncio.timeout(2 * START_SECONDS):
            printed, complaints = await process.communicate()
        return Attempt(process.returncode or 0, printed, complaints.decode())

    async def json(self, *words: str) -> Any:
        """Run a command that prints JSON."""
        return orjson.loads(await self.run(*words, "--json"))

    async def ready(self) -> None:
        """Wait until ingest is ready."""

        async def answers() -> bool:
            try:
                async with httpx.AsyncClient(timeout=2) as http:
                    return (await http.get(f"{self.url}/readyz")).status_code == 200
            except httpx.HTTPError:
                return False

        await until(answers, within=START_SECONDS)

    async def end(self) -> None:
        """End everything gracefully, by force what does not."""
        for process in self.started:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                await asyncio.to_thread(process.wait, 12)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)

    def logs(self, word: str) -> Sequence[dict[str, Any]]:
        """All lines of the logs whose event is this word."""
        lines = (line for log in self.folder.glob("*.log") for line in log.read_bytes().splitlines())
        found = (orjson.loads(line) for line in lines if line.startswith(b"{"))
        return [line for line in found if line.get("event") == word]


def listening(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
