"""A private PostgreSQL server for tests: on a port of its own, with its own data, and no process of it left."""

import os
import pwd
import re
import shutil
import signal
import struct
from pathlib import Path
from typing import Self

from tests.services.server import (
    START_SECONDS,
    ContainerHost,
    LocalHost,
    Server,
    ServiceError,
    docker_engine,
    free_port,
    plain_environment,
    run,
    talk,
)

IMAGE = "postgres:16"
PROGRAM_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
SETTINGS = {  # durable as in production, for a killed server must not lose what it committed
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


class PostgresServer(Server):
    """A PostgreSQL server of one's own: superuser and database postgres, trusted without a password."""

    product = "PostgreSQL"
    packages = ("postgresql",)
    mend = "install it (Debian/Ubuntu: apt-get install postgresql; macOS: brew install postgresql@16)"

    def __init__(self, programs: Path | None = None) -> None:
        """A server run by installed programs (`initdb`, `postgres`), or in a container without them."""
        self._programs = programs
        port = free_port()
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        if programs is None:
            env = {"POSTGRES_HOST_AUTH_METHOD": "trust"}
            host = ContainerHost("postgres", IMAGE, (port, 5432), env, "postgres", *settings)
            super().__init__(host, port, f"Docker, {IMAGE}")
            return
        local = LocalHost("postgres", stop_signal=signal.SIGINT, user=_user())  # SIGINT: a fast, clean shutdown
        version = re.search(r"(\d+)", programs.resolve().parent.name)
        super().__init__(local, port, f"installed {version[1] if version else programs}")
        local.env = plain_environment("PG") | {"HOME": str(local.folder), "LC_ALL": "C.UTF-8"}
        local.argv = [f"{programs}/postgres", "-D", f"{local.folder}/data", "-k", str(local.folder)]
        local.argv += ["-h", "127.0.0.1", "-p", str(port), *settings]

    @classmethod
    def find(cls) -> Self | None:
        """A server made of the newest installed PostgreSQL, else of a Docker engine, else None."""
        programs = _programs()
        return cls(programs) if programs or docker_engine() else None

    @property
    def url(self) -> str:
        """Where clients connect, the same for the server's whole life."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self, deadline: float = START_SECONDS) -> Self:
        """Returns when the server serves clients; the first start makes its data folder."""
        if isinstance(self.host, LocalHost) and not (self.host.folder / "data").exists():
            argv = [f"{self._programs}/initdb", "-D", f"{self.host.folder}/data", "-U", "postgres"]
            argv += ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
            run(argv, deadline, self.host.env, self.host.user)
        return super().start(deadline)

    def standby(self, deadline: float = START_SECONDS) -> Self:
        """A second server that repeats what this one does; `SELECT pg_promote()` makes it a primary."""
        if self._programs is None:
            raise ServiceError(f"no standby of a server in a container: {self.mend}")
        one = type(self)(self._programs)
        assert isinstance(one.host, LocalHost)
        argv = [f"{self._programs}/pg_basebackup", "-D", f"{one.host.folder}/data", "-R", "-X", "stream"]
        argv += ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "--checkpoint=fast", "--no-sync"]
        run(argv, deadline, one.host.env, one.host.user)
        return one.start(deadline)

    def answers(self) -> bool:
        """Whether the server lets the superuser in; it refuses while it starts or recovers."""
        words = b"user\0postgres\0database\0postgres\0\0"
        return talk(self.port, struct.pack("!ii", len(words) + 8, 196608) + words).startswith(b"R")


def find_postgres() -> PostgresServer:
    """A private server, not started yet; a ServiceError that says what to install when there is none to be had."""
    found = PostgresServer.find()
    if found is None:
        raise ServiceError(f"no PostgreSQL of its own for this test: {PostgresServer.mend}, or start Docker")
    return found


def _programs() -> Path | None:
    folders = [folder for pattern in PROGRAM_FOLDERS for folder in Path("/").glob(pattern)]
    if on_path := shutil.which("initdb"):
        folders.append(Path(on_path).resolve().parent)
    usable = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    return max(usable, key=_version, default=None)


def _version(folder: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", folder.resolve().parent.name)]


def _user() -> str | None:
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    user = next((name for name in ("postgres", "nobody") if name in known), None)
    if user is None:
        raise ServiceError("PostgreSQL does not run as root: add a user (useradd --system postgres)")
    return user
