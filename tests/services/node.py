"""What the subscriber in Node and the official AsyncAPI parser need: Node.js, npm, and the packages in their lock.

Only the standard library, so that it also runs where nothing is installed yet: `python -m tests.services.node`.
"""

import re
import shutil
import sys
from pathlib import Path

from tests.services.packages import install
from tests.services.server import ServiceError, run

SUBSCRIBER = Path(__file__).parents[2] / "docs" / "subscribing"
LOCK = SUBSCRIBER / "package-lock.json"
INSTALLED = SUBSCRIBER / "node_modules" / ".package-lock.json"
"""What npm writes last."""
MISSING = "Node.js or its packages are missing: the first lines of `make pytest` say why"
PACKAGES = {"node": "nodejs", "npm": "npm"}
OLDEST = (18, 19)
NPM_CI = ("npm", "ci", "--loglevel=error", "--fetch-retry-mintimeout=1000", "--fetch-retry-factor=2")
"""Off the net it gives up in seconds."""
SECONDS = 120.0


def installed() -> bool:
    """Whether the packages are there, and those of today's lock."""
    return INSTALLED.exists() and INSTALLED.stat().st_mtime >= LOCK.stat().st_mtime


def prepare() -> None:
    """Installs what is missing, once for this checkout. A ServiceError when it may not, cannot or takes too long."""
    if missing := [package for program, package in PACKAGES.items() if shutil.which(program) is None]:
        install(missing)
    version = run(["node", "--version"], deadline=10).strip()
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        raise ServiceError(f"Node.js {'.'.join(map(str, OLDEST))} or later is needed, not {version}")
    if not installed():
        run([*NPM_CI, f"--prefix={SUBSCRIBER}"], SECONDS)


if __name__ == "__main__":
    try:
        prepare()
    except ServiceError as error:
        sys.exit(f"error: {error}")
