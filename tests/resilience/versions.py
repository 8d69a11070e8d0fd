"""An older version of this source, out of its history: the one before the newest migration."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Final

from schema.migrate import MIGRATIONS

ROOT: Final = Path(__file__).parents[2]


@functools.cache
def previous() -> str | None:
    """Its revision; None where there is no history."""
    newest = max(MIGRATIONS.glob("*.sql"))
    found = _git("log", "--format=%H", "--diff-filter=A", "--", str(newest)).decode().split()
    known = _git("rev-parse", "--quiet", "--verify", f"{found[-1]}^") if found else b""
    return known.decode().strip() or None


def unpack(revision: str, folder: Path) -> Path:
    """Its source, in this folder."""
    subprocess.run(["tar", "-x", "-C", str(folder)], input=_git("archive", revision), check=True)
    return folder


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=False).stdout
