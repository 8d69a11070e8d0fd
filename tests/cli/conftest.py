"""`kb-ingest` inside a test: what a command printed, and how it ended."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from cli.main import run
from cli.settings import EXAMPLES
from tests.conftest import KEY


@dataclass(slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """Its complaint, which is one proper line."""
        assert re.fullmatch(r"error: [^\n]+\n", self.err), f"{self.out}{self.err}"
        return self.err

    @property
    def json(self) -> Any:
        """What it printed when all went well."""
        assert (self.code, self.err) == (0, "")
        return orjson.loads(self.out)


class Commands:
    """Runs commands inside the test, and remembers all that they printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.printed = ""

    def configure(self, **variables: str | None) -> None:
        """Set variables of the environment, or unset them."""
        for name, value in variables.items():
            self._monkeypatch.delenv(name, raising=False)
            if value is not None:
                self._monkeypatch.setenv(name, value)

    async def __call__(self, line: str, *words: str, stdin: str = "") -> Ended:
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        self._capsys.readouterr()
        code = await asyncio.to_thread(run, [*line.split(), *words])
        out, err = self._capsys.readouterr()
        self.printed += out + err
        return Ended(code=code, out=out, err=err)


@pytest.fixture
def kb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Commands]:
    """`kb-ingest` without configuration."""
    for name in {"amqp_url", "database_url", "empty_database_url"} & set(request.fixturenames):
        request.getfixturevalue(name)  # made from the environment, so before it is emptied
    monkeypatch.chdir(tmp_path)
    commands = Commands(monkeypatch, capsys)
    commands.configure(**dict.fromkeys(EXAMPLES))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield commands
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def configured(kb: Commands, database_url: str) -> Commands:
    """`kb-ingest` with a migrated database and a key."""
    kb.configure(DATABASE_URL=database_url, INTEGRATION_ENCRYPTION_KEY=KEY)
    return kb
