"""Paging through tasks by their dates without drift. Pure.

ClickUp's listings are cut into pages by number, and while somebody edits, tasks move between pages: reading page by
page skips some. So the listing is asked oldest first for what is not older than an anchor, always for its first page,
and the anchor moves on to the last date seen. Only when a whole page has one date, or is in another order than asked
for, are further pages of it asked. What leaves them meanwhile moves the rest to pages read already, so they are read
once more on the way back, from the last to the first: there tasks only move towards what is still to be read.
`date_*_gt` includes the boundary (observed); asking for one millisecond less holds under either reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from integrations.clickup.values import number

FIRST: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where to ask: everything dated before `since` (epoch milliseconds) was seen, and `page` pages of what follows.

    Attributes:
        back: on the way back through these pages.
        then: where to go on after that; None = there is no more.
    """

    since: int = FIRST
    page: int = 0
    back: bool = False
    then: int | None = None

    def query(self, field: str) -> dict[str, str]:
        """The query parameters for the next page, by `updated` or `created`."""
        floor = {f"date_{field}_gt": str(self.since - 1)} if self.since > FIRST else {}
        return {"order_by": field, "reverse": "true", "page": str(self.page)} | floor


def following(anchor: Anchor, tasks: Sequence[Mapping[str, Any]], *, field: str, last: bool) -> Anchor | None:
    """Where to ask after this page; None when there is no more."""
    if anchor.back and anchor.page > 0:
        return replace(anchor, page=anchor.page - 1)
    if anchor.back:
        return _from(anchor.then)
    dates = [number(task.get(f"date_{field}")) or FIRST for task in tasks]
    over = last or not tasks
    if not over and not (dates[-1] > anchor.since and dates == sorted(dates)):
        return replace(anchor, page=anchor.page + 1)
    then = None if over else dates[-1]
    return replace(anchor, page=anchor.page - 1, back=True, then=then) if anchor.page > 0 else _from(then)


def _from(since: int | None) -> Anchor | None:
    return None if since is None else Anchor(since=since)
