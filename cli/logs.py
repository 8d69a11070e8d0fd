"""How programs log: one line an event, JSON for machines or columns for people, on standard error."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Final

import orjson
import structlog

FILE_OCTETS: Final = 10_000_000


def configure(*, level: str, form: str, file: Path | None = None) -> None:
    """Set up logging for this process: to standard error, or to a file that is kept below twice `FILE_OCTETS`."""
    number = logging.getLevelNamesMapping()[level.upper()]
    handler: logging.Handler = (
        logging.StreamHandler(sys.stderr)
        if file is None
        else logging.handlers.RotatingFileHandler(file, maxBytes=FILE_OCTETS, backupCount=1)
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    ours = logging.getLogger("kb_ingest")
    ours.setLevel(number)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=lambda value, **_: orjson.dumps(value, default=repr).decode())
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=file is None and sys.stderr.isatty())
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=lambda *_: ours,
        cache_logger_on_first_use=False,
    )
