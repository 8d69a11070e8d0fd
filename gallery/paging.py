"""Pages of a list by keyset: a cursor says after which row to go on, so that nothing is skipped or shown twice."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field

from gallery.problems import Problem

Item = TypeVar("Item")

MOST: Final = 200
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)


def _written(value: object) -> object:
    """A number is no time here, though the validating library would take it for one."""
    if isinstance(value, str) and "T" not in value.upper():
        raise ValueError("a time is written like 2026-11-25T10:00:00Z")
    return value


def near(when: datetime) -> datetime:
    """The nearest time that every calendar on the way can hold: nothing happened before or after."""
    return min(max(when, EARLIEST), LATEST)  # by the instant: a year is another one in another zone


Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(near)]
"""A time in a query: RFC 3339, with its zone."""

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
        at = datetime.fromisoformat(when)
        return near(at.replace(tzinfo=at.tzinfo or UTC)), UUID(id_)
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise Problem("invalid-request", "cursor: is not one that a page gave as `next`") from error


def page(rows: Sequence[Any], limit: int, *, at: str, id_: str) -> tuple[Sequence[Any], str | None]:
    """Of one row more than the limit: the page, and where to go on."""
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], cursor(last[at], last[id_])
