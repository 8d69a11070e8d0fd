"""Asks for known vulnerabilities of what is pinned: `python -m deploy.audit PIP-AUDIT [ARGUMENT...]`.

Promises: exit 0 only when every package was looked up and nothing is known against any; 1 when something is known; 2
when a package was not looked up, whatever the reason. The tool by itself calls it a success when its service knows no
package at all.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FILES: Final = ("constraints.txt", "constraints-otel.txt", "constraints-dev.txt", "constraints-audit.txt")
CLEAN, KNOWN, NOT_AUDITED = 0, 1, 2


def audit(tool: Sequence[str], root: Path = ROOT) -> int:
    """Audit each file of pins with the tool; the worst of their exit codes."""
    return max(_audit(tool, root / name) for name in FILES)


def _audit(tool: Sequence[str], file: Path) -> int:
    command = [
        *tool,
        "--strict",
        "--disable-pip",
        "--require-hashes",
        "--progress-spinner=off",
        "--requirement",
        str(file),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  its own arguments
    except OSError as error:
        return _say(NOT_AUDITED, f"{file.name} was NOT audited: {error}")
    if done.returncode == 0:
        return _say(CLEAN, f"{file.name}: nothing is known against what it pins")
    if re.search(r"Found \d+ known vulnerabilit", done.stderr):
        return _say(KNOWN, f"{done.stdout.rstrip()}\n{file.name}: raise what is named above, then `make lock`")
    last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
    return _say(
        NOT_AUDITED,
        f"{file.name} was NOT audited: {last[:300]}; see that the vulnerability service can be reached from here, or "
        "name another one (AUDIT_ARGS='--vulnerability-service osv')",
    )


def _say(code: int, line: str) -> int:
    (sys.stderr if code else sys.stdout).write(f"{'error: ' if code else ''}{line}\n")
    return code


if __name__ == "__main__":
    sys.exit(audit(sys.argv[1:]))
