"""Pages of a list by keyset: a cursor says after which row to go on, so that nothing is skipped or shown twice."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import BaseModel, Field

from gallery.problems import Problem

Item = TypeVar("Item")

MOST: Final = 200
EARLIEST: Final = 1970
LATEST: Final = 9998

Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=400, description="`next` of the page before.")]


class Page(BaseModel, Generic[Item]):
    """A part of a list, newest first."""

    items: list[Item]
    next: str | None = Field(None, description="Send it as `cursor` for what comes after; null = that was all.")


def cursor(*values: object) -> str:
    """A place in a list."""
    return base64.urlsafe_b64encode(orjson.dumps(values, default=str)).rstrip(b"=").decode()


def place(text: str | None) -> tuple[datetime | None, UUID | None]:
    """A time and an id, from a cursor; nothing from nothing. Raises `Problem`."""
    if text is None:
        return None, None
    try:
        when, id_ = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return timely(datetime.fromisoformat(when)), UUID(id_)
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise Problem("invalid-request", "cursor: is not one that a page gave as `next`") from error


def timely(when: datetime | None) -> datetime | None:
    """A time as it may be asked for. Raises `Problem` for one without its zone, or out of any calendar's reach."""
    if when is None:
        return None
    if when.tzinfo is None:
        raise Problem("invalid-request", "query: a time needs its zone, for example 2026-11-25T10:00:00Z")
    if not EARLIEST <= when.year <= LATEST:
        raise Problem("invalid-request", f"query: a time lies between the years {EARLIEST} and {LATEST}")
    return when


def page(rows: Sequence[Any], limit: int, *, at: str, id_: str) -> tuple[Sequence[Any], str | None]:
    """Of one row more than the limit: the page, and where to go on."""
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], cursor(last[at], last[id_])
