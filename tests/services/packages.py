"""Installs Debian's packages.

Only the standard library, so that it also runs where nothing is installed yet.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.services.server import ServiceError, run

POLICY = Path("/usr/sbin/policy-rc.d")  # Debian's switch: may a package start its service when installed?


def install(packages: list[str]) -> None:
    """Installs Debian packages without starting their services; a ServiceError when it may not or cannot."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServiceError("only root on Debian or Ubuntu installs packages")
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", "-qq", "--yes"]
    env = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_service_starts():
        with contextlib.suppress(ServiceError):  # one broken source of many is no obstacle
            run([*apt, "update"], 300, env)
        run([*apt, "install", "--no-install-recommends", *packages], 900, env)


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Packages installed in the block do not start their services; a policy of the machine's own stays."""
    try:
        with POLICY.open("x") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:
        yield
        return
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()
