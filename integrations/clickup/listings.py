"""How ClickUp writes a listing, and how one is asked for: arrays, pages, parameters. Pure.

Promises: an answer that has no listing in it is never read as an empty one; what is no object in a listing is left
out, but not before its length was looked at, which may decide whether more is to come.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from integrations.clickup.errors import Unavailable
from integrations.clickup.values import items, milliseconds, moment, part, text

MAX_PAGES: Final = 10_000
"""Of one listing; a million docs. Beyond it something goes round in circles."""

Entity = Mapping[str, Any]
Parameter = str | int | bool | datetime | Collection[str | int] | None


def listing(answer: object, name: str) -> list[Any]:
    """Everything listed under a name; an answer that is an array is the listing itself.

    Raises:
        Unavailable: there is no listing. That is not an empty one: what is missing from it would be taken for deleted.
    """
    listed = answer.get(name, answer) if isinstance(answer, dict) else answer
    if listed is None:
        return []
    if isinstance(listed, list):
        return listed
    raise Unavailable(f"ClickUp answered without a listing of {name}")


def rows(answer: object, name: str) -> list[Entity]:
    """The objects of a listing; raises as `listing` does."""
    return items(listing(answer, name))


def entity(answer: Entity, name: str) -> Entity:
    """What an answer wraps under a name, or the answer itself where the wrapper is missing."""
    return part(answer.get(name)) or answer


def after(comments: Collection[Entity]) -> list[tuple[str, str]] | None:
    """What asks for the comments after these: the `start` and `start_id` of the last that has both (official)."""
    for comment in reversed(list(comments)):
        date, id_ = moment(comment.get("date")), text(comment.get("id"))
        if date is not None and id_ is not None:
            return [("start", str(milliseconds(date))), ("start_id", id_)]
    return None


def parameters(query: Mapping[str, Parameter]) -> list[tuple[str, str]]:
    """A query as ClickUp reads it: true and false, times in epoch milliseconds, an array as `name[]` again and again.

    None is left out. An empty array is refused: left out it would ask for everything.
    """
    written: list[tuple[str, str]] = []
    for name, value in query.items():
        if isinstance(value, Collection) and not isinstance(value, str):
            if not value:
                raise ValueError(f"{name} is empty; leave it out to ask for all")
            written += [(f"{name}[]", str(one)) for one in value]
        elif value is not None:
            written.append((name, _written(value)))
    return written


def _written(value: str | int | bool | datetime) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(milliseconds(value)) if isinstance(value, datetime) else str(value)
