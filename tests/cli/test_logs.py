"""Errors that nobody foresaw: told by kind and place, never in their own words, which quote what was read."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
import structlog

from cli import logs
from cli.main import main

HUSH = "HushHush"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Where logs go, as programs set them up; logging is left as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(level="debug", form="json", file=tmp_path / "log")
    yield tmp_path / "log"
    root.handlers[0].close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def quoting(sql: Any) -> asyncpg.DataError:
    """The driver's error for a wrong argument, which quotes it."""
    with pytest.raises(asyncpg.DataError, match=HUSH) as raised:
        await sql.fetch("SELECT $1::uuid", HUSH)
    return raised.value


async def broken(error: Exception) -> None:
    raise RuntimeError(HUSH) from error


async def test_no_logger_tells_an_errors_words(file: Path, sql: Any) -> None:
    """Ours, a web server's, and the event loop's own about a task that nobody waited for."""
    log = structlog.get_logger()
    try:
        await broken(await quoting(sql))
    except RuntimeError as told:
        log.exception("ours.broke", path="/events")
        log.warning("ours.again", exc_info=told)
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")

    async def forgotten() -> None:
        raise ExceptionGroup(HUSH, [ValueError(HUSH)])

    task = asyncio.create_task(forgotten(), name="forgotten")
    await asyncio.wait([task])
    del task
    gc.collect()
    written = await asyncio.to_thread(file.read_text)
    lines = written.splitlines()
    assert len(lines) == 4
    assert HUSH not in written
    ours = orjson.loads(lines[0])
    assert (ours["event"], ours["path"]) == ("ours.broke", "/events")
    for line in (ours["exception"], lines[1], lines[2]):
        assert "RuntimeError at test_logs.py:" in line
        assert "because of DataError at test_logs.py:" in line
    assert lines[2].startswith("Exception in ASGI application: ")
    assert lines[3].startswith("Task exception was never retrieved: ExceptionGroup at test_logs.py:")
    assert lines[3].endswith("because of ValueError")


def test_a_command_keeps_an_errors_words_to_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line even then, with where it happened; here the driver quotes a part of the address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://kb@/kb?host=127.0.0.1&port={HUSH}")
    with pytest.raises(SystemExit) as ended:
        main(["migrate"])
    assert ended.value.code == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: this should not have happened, please report it: ValueError at ")
    assert "connect_utils.py" in complaint
    assert complaint.count("\n") == 1
    assert HUSH not in complaint
