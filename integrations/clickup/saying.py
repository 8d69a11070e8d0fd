"""What a delivery says by itself: its history items as amendments of what is stored, and what to read for the rest.

Pure. Promises: an amendment is made only of what the item states outright; whatever else an event tells of makes it
incomplete. Shapes: ClickUp's task payload pages (official samples); `assignee_rem` and a tag's removal are inferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from integrations.clickup import webhook
from integrations.clickup.mapping import name_of
from integrations.clickup.reader import needed
from integrations.clickup.values import identity, iso, items, moment, number, part, storable, text
from integrations.clickup.webhook import Unreadable
from integrations.registry import Preview
from schema.records import Amendment, Ref

Change = tuple[str, str, Any]
"""Path, kind and value of an `Amendment`."""


def preview(body: bytes, received_at: datetime) -> Preview:
    """See `Provider.preview`."""
    try:
        payload = webhook.parse(body)
        notice = webhook.notice(payload)
    except Unreadable:
        return Preview()
    history = items(payload.get("history_items"))
    # a comment's edit carries the date of its post (official samples), and so does the edit's companion
    dated = notice.action == "posted" or all(item.get("field") != "comment" for item in history)
    ref, read = Ref(notice.entity, notice.id), needed(notice)
    amendments: list[Amendment] = []
    complete = bool(notice.history) and read is not None
    for item in history:
        changes = list(_changes(notice.entity, notice.action, item))
        when = moment(item.get("date")) if dated else received_at
        if not changes or when is None:
            complete = False
            continue
        amendments += [
            Amendment(ref=ref, path=path, kind=kind, value=storable(value), changed_at=when)
            for path, kind, value in changes
        ]
    return Preview(
        ref=ref,
        read=read,
        changed_at=notice.changed_at if dated else None,
        amendments=tuple(amendments),
        complete=complete,
        shared=notice.entity != "comment",  # no listing has replies: a look finds those it was told of
    )


def _changes(entity: str, action: str, item: Mapping[str, Any]) -> Iterator[Change]:
    field = item.get("field")
    if entity == "comment":
        if action == "updated" and "comment" in item:
            yield from _comment(item)
    elif entity == "list" and field == "name":
        yield from _name(item)
    elif entity == "task" and isinstance(field, str) and field in _TASK:
        yield from _TASK[field](item)


def _status(item: Mapping[str, Any]) -> Iterator[Change]:
    after = part(item.get("after"))
    if name := text(after.get("status")):
        yield "status", "is", name
        yield "properties.status_type", "is", text(after.get("type"))


def _priority(item: Mapping[str, Any]) -> Iterator[Change]:
    if "after" in item:
        yield "properties.priority", "is", text(part(item["after"]).get("priority"))


def _name(item: Mapping[str, Any]) -> Iterator[Change]:
    if name := text(item.get("after")):
        yield "title", "is", name


def _due_date(item: Mapping[str, Any]) -> Iterator[Change]:
    if "after" in item:
        yield "properties.due_date", "is", iso(item["after"])


def _time_estimate(item: Mapping[str, Any]) -> Iterator[Change]:
    if "after" in item:
        yield "properties.time_estimate", "is", number(item["after"])


def _assignee(kind: str, side: str) -> Callable[[Mapping[str, Any]], Iterator[Change]]:
    def change(item: Mapping[str, Any]) -> Iterator[Change]:
        if name := name_of(item.get(side)):
            yield "properties.assignees", kind, name

    return change


def _tag(item: Mapping[str, Any]) -> Iterator[Change]:
    before, after = (
        [name for tag in items(item.get(side)) if (name := text(tag.get("name")))] for side in ("before", "after")
    )
    for kind, names in (("has", after), ("lacks", [name for name in before if name not in after])):
        for name in names:
            yield "labels", kind, name
            yield "properties.tags", kind, name


def _moved(item: Mapping[str, Any]) -> Iterator[Change]:
    """`category` is the folder, `project` the space. A subtask keeps its parent."""
    after = part(item.get("after"))
    folder = part(after.get("category"))
    if (home := identity(after.get("id"))) is not None:
        yield "parent", "is", Ref("list", home)
        yield "properties.list_id", "is", home
        yield "properties.folder_id", "is", None if folder.get("hidden") else identity(folder.get("id"))
        yield "properties.space_id", "is", identity(part(after.get("project")).get("id"))


def _comment(item: Mapping[str, Any]) -> Iterator[Change]:
    if (comment := webhook.comment(item)) is not None:
        yield "body", "is", comment.text.strip() or None


_TASK: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[Change]]]] = {
    "status": _status,
    "priority": _priority,
    "name": _name,
    "due_date": _due_date,
    "time_estimate": _time_estimate,
    "assignee_add": _assignee("has", "after"),
    "assignee_rem": _assignee("lacks", "before"),
    "tag": _tag,
    "section_moved": _moved,
}
