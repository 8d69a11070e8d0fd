"""How programs log: one line an event, JSON for machines or columns for people, on standard error.

Promises: an error that nobody foresaw is told by its kind and where it came from, whoever logs it, libraries included;
its own words are left out, for they may quote what was read or a statement's arguments.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
import structlog

FILE_OCTETS: Final = 10_000_000
FRAMES: Final = 12


def told(error: BaseException) -> str:
    """An error and what led to it, in one line without their words."""
    return "; because of ".join(_chain(error, set()))


def _chain(error: BaseException | None, met: set[int]) -> Iterator[str]:
    while error is not None and id(error) not in met:
        met.add(id(error))
        frames = [
            f"{Path(one.filename).name}:{one.lineno} in {one.name}" for one in traceback.extract_tb(error.__traceback__)
        ]
        yield type(error).__name__ + (f" at {' > '.join(frames[-FRAMES:])}" if frames else "")
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _chain(one, met)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


class _Wordless(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # asyncio's further lines show tasks with the errors in them
        said = record.getMessage().partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        return f"{said}: {told(error)}" if error is not None else said


def _wordless(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if given := event.pop("exc_info", None):
        error = given if isinstance(given, BaseException) else sys.exc_info()[1]
        event["exception"] = told(error) if error is not None else None
    return event


def configure(*, level: str, form: str, file: Path | None = None) -> None:
    """Set up logging for this process: to standard error, or to a file that is kept below twice `FILE_OCTETS`."""
    number = logging.getLevelNamesMapping()[level.upper()]
    handler: logging.Handler = (
        logging.StreamHandler(sys.stderr)
        if file is None
        else logging.handlers.RotatingFileHandler(file, maxBytes=FILE_OCTETS, backupCount=1)
    )
    handler.setFormatter(_Wordless())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    lines: structlog.typing.WrappedLogger = logging.getLogger("kb_ingest")
    lines.setLevel(number)
    processors: list[structlog.typing.Processor] = [_json_line]
    if form == "json" and file is None:  # a line for each delivery: past the library of records and formatters
        lines = structlog.BytesLogger(sys.stderr.buffer)
    elif form == "json":
        processors = [lambda *about: _json_line(*about).decode()]
    else:
        processors = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _wordless,
            structlog.dev.ConsoleRenderer(colors=file is None and sys.stderr.isatty()),
        ]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        processors=processors,
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )


def _json_line(logger: object, method: str, event: structlog.typing.EventDict) -> bytes:
    """What the library has four processors for, at half the time: a tenth of what a delivery costs was its line."""
    if "exc_info" in event:
        event = _wordless(logger, method, event)
    event["level"], event["timestamp"] = method, datetime.now(UTC)
    return orjson.dumps(event, default=repr, option=orjson.OPT_UTC_Z)
