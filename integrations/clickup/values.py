"""Tolerant reading of ClickUp's values: dates in epoch milliseconds as strings or numbers, numbers as strings, nulls
anywhere. Pure. Nothing here raises: what cannot be read is None or empty.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LARGEST: Final = 2**63 - 1
LONGEST_ID: Final = 255
MAX_DEPTH: Final = 64
"""How deep a value may be nested; what lies deeper is left out, PostgreSQL and orjson have limits."""
LAST: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, past which no datetime goes."""


def text(value: object) -> str | None:
    """A string that PostgreSQL can keep, or None: NUL is dropped, a lone surrogate becomes a question mark.

    A number is its digits; what is no number (NaN, or too large for one) names nothing.
    """
    if isinstance(value, str):
        return _clean(value) or None
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return str(value) if isinstance(value, int | float) else None


def identity(value: object) -> str | None:
    """An id, or None: what is too long to be one would not fit an index or a message's header."""
    written = text(value)
    return written if written is not None and len(written) <= LONGEST_ID else None


def storable(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The same value as PostgreSQL and JSON can keep it: strings clean, whole numbers of 64 bits, depth bounded."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -LARGEST <= value <= LARGEST:
        return str(value)
    if depth == 0 and isinstance(value, list | dict):
        return None
    if isinstance(value, list):
        return [storable(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {storable(str(key)): storable(item, depth - 1) for key, item in value.items()}
    return value


def _clean(value: str) -> str:
    clean = value.isascii() and "\x00" not in value
    return value if clean else value.replace("\x00", "").encode("utf-8", "replace").decode()


def number(value: object) -> int | None:
    """A whole number, from a number or a string."""
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        return None
    try:
        whole = int(value)
    except (ValueError, OverflowError):
        return _whole(value)
    return whole if -LARGEST <= whole <= LARGEST else None


def _whole(value: float | str) -> int | None:
    """Of a number with a fraction or an exponent, as text."""
    try:
        whole = int(float(value))
    except (ValueError, OverflowError):
        return None
    return whole if -LARGEST <= whole <= LARGEST else None


def moment(value: object) -> datetime | None:
    """A time, from epoch milliseconds."""
    milliseconds = number(value)
    if milliseconds is None or not 0 <= milliseconds <= LAST:
        return None
    return _at(milliseconds)


@functools.lru_cache(maxsize=1024)
def _at(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)  # asked for several times on a delivery's way


def milliseconds(when: datetime) -> int:
    """Epoch milliseconds of a time."""
    return round((when - EPOCH) / timedelta(milliseconds=1))


def iso(value: object) -> str | None:
    """A time as text, from epoch milliseconds."""
    when = moment(value)
    return when.isoformat().replace("+00:00", "Z") if when else None


def items(value: object) -> list[Mapping[str, Any]]:
    """The objects of an array; everything else in it, or something else than an array, is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def part(value: object) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}
