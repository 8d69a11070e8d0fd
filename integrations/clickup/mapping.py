"""ClickUp's objects as records of the knowledge base. Pure: the same object gives the same record.

Promises: everything but an id may be missing, null or of another type; an object without an id is `MalformedObject`.
A record is the same whether its object was read by id or came in a listing: what only one of them shows (a list's
`statuses`) or what changes without a change of the object (counts) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from integrations.clickup.fields import custom_fields
from integrations.clickup.values import identity, iso, items, moment, number, part, storable, text
from integrations.clickup.webhook import Comment
from schema.records import Edge, Person, Record, Ref

APP: Final = "https://app.clickup.com"


class MalformedObject(Exception):
    """An object of the API that cannot be a record; the message says why."""


def workspace(raw: Mapping[str, Any]) -> Record:
    """A team of GET /team."""
    members = [person(member.get("user")) for member in items(raw.get("members"))]
    return Record(
        ref=ref_of("workspace", raw),
        parent=None,
        title=text(raw.get("name")),
        url=f"{APP}/{text(raw.get('id'))}/home",
        properties=present(color=raw.get("color"), members=len(members)),
        people=_people(members),
    )


def space(raw: Mapping[str, Any], *, workspace_id: str) -> Record:
    """A space of GET /space/{id}."""
    ref, parent = ref_of("space", raw), Ref("workspace", workspace_id)
    return Record(
        ref=ref,
        parent=parent,
        title=text(raw.get("name")),
        url=f"{APP}/{workspace_id}/v/s/{ref.id}",
        properties=present(
            private=raw.get("private"),
            archived=raw.get("archived"),
            statuses=_statuses(raw),
            features={name: bool(part(feature).get("enabled")) for name, feature in part(raw.get("features")).items()},
        ),
        edges=(Edge("parent_of", parent, ref),),
    )


def folder(raw: Mapping[str, Any], *, workspace_id: str) -> Record:
    """A folder of GET /folder/{id}; a nested one has `parent_folder`."""
    ref = ref_of("folder", raw)
    above = identity(raw.get("parent_folder"))
    space_id = identity(part(raw.get("space")).get("id"))
    parent = Ref("folder", above) if above else Ref("space", space_id) if space_id else None
    return Record(
        ref=ref,
        parent=parent,
        title=text(raw.get("name")),
        url=f"{APP}/{workspace_id}/v/f/{ref.id}",
        properties=present(
            hidden=raw.get("hidden"),
            archived=raw.get("archived"),
            space_id=space_id,
        ),
        edges=_below(parent, ref),
    )


def list_(raw: Mapping[str, Any], *, workspace_id: str) -> Record:
    """A list of GET /list/{id}. A folderless one hangs in a hidden pseudo-folder: its parent is the space."""
    ref = ref_of("list", raw)
    above, space_id = part(raw.get("folder")), identity(part(raw.get("space")).get("id"))
    folder_id = None if above.get("hidden") else identity(above.get("id"))
    parent = Ref("folder", folder_id) if folder_id else Ref("space", space_id) if space_id else None
    return Record(
        ref=ref,
        parent=parent,
        title=text(raw.get("name")),
        body=text(raw.get("content")),
        status=text(part(raw.get("status")).get("status")),
        url=f"{APP}/{workspace_id}/v/li/{ref.id}",
        properties=present(
            archived=raw.get("archived"),
            folder_id=folder_id,
            space_id=space_id,
            priority=text(part(raw.get("priority")).get("priority")),
            start_date=iso(raw.get("start_date")),
            due_date=iso(raw.get("due_date")),
        ),
        edges=_below(parent, ref),
    )


def task(raw: Mapping[str, Any]) -> Record:
    """A task of GET /task/{id}. In a task `project` means the folder, in a taskMoved event it means the space."""
    ref = ref_of("task", raw)
    home, above = identity(part(raw.get("list")).get("id")), identity(raw.get("parent"))
    parent = Ref("task", above) if above else Ref("list", home) if home else None
    assignees = [person(user) for user in items(raw.get("assignees"))]
    lists = [home, *(identity(location.get("id")) for location in items(raw.get("locations")))]
    tags = [name for tag in items(raw.get("tags")) if (name := text(tag.get("name")))]
    folder_ = part(raw.get("folder")) or part(raw.get("project"))
    return Record(
        ref=ref,
        parent=parent,
        title=text(raw.get("name")),
        body=_task_body(raw),
        status=text(part(raw.get("status")).get("status")),
        url=text(raw.get("url")) or f"{APP}/t/{ref.id}",
        labels=tuple(tags),
        updated_at=moment(raw.get("date_updated")),
        properties=present(
            custom_id=text(raw.get("custom_id")),
            custom_item_id=number(raw.get("custom_item_id")),
            status_type=text(part(raw.get("status")).get("type")),
            priority=text(part(raw.get("priority")).get("priority")),
            archived=raw.get("archived"),
            list_id=home,
            folder_id=None if folder_.get("hidden") else identity(folder_.get("id")),
            space_id=identity(part(raw.get("space")).get("id")),
            parent_id=above,
            creator=name_of(raw.get("creator")),
            assignees=[name_of(user) for user in items(raw.get("assignees"))],
            tags=tags,
            **{name: iso(raw.get(name)) for name in _TASK_DATES},
            time_estimate=number(raw.get("time_estimate")),
            time_spent=number(raw.get("time_spent")),
            points=raw.get("points") if isinstance(raw.get("points"), int | float) else None,
            custom_fields=custom_fields(raw),
        ),
        edges=(
            *_below(parent, ref),
            *(Edge("in_list", ref, Ref("list", id_)) for id_ in dict.fromkeys(lists) if id_),
            *_dependencies(raw, ref),
            *(Edge("linked_to", ref, other) for other in _linked(raw, ref)),
            *(Edge("assigned_to", ref, Ref("person", user.id)) for user in assignees if user),
        ),
        people=_people([*assignees, person(raw.get("creator"))]),
    )


_TASK_DATES: Final = ("date_created", "date_closed", "date_done", "start_date", "due_date")


def comment(raw: Mapping[str, Any], *, task_id: str, reply_to: str | None = None) -> Record:
    """A comment of GET /task/{id}/comment, or a reply of GET /comment/{id}/reply."""
    author = part(raw.get("user"))
    written = text(raw.get("comment_text")) or "".join(
        text(block.get("text")) or "" for block in items(raw.get("comment"))
    )
    return _comment(
        ref_of("comment", raw),
        task_id,
        written,
        author,
        date=iso(raw.get("date")),
        resolved=raw.get("resolved"),
        assignee=name_of(raw.get("assignee")),
        reply_to=reply_to,
    )


def heard_comment(heard: Comment, *, task_id: str, edited: bool) -> Record:
    """A comment as its event tells it, for one that the API does not list (a reply, or one gone since).

    Post and edit may carry the same date (official samples), so only an edit may overwrite.
    """
    date = iso(round(heard.posted_at.timestamp() * 1000)) if heard.posted_at else None
    record = _comment(Ref("comment", heard.id), task_id, heard.text, heard.author, date=date)
    return replace(record, insert_only=not edited)


def _comment(ref: Ref, task_id: str, written: str, author: Mapping[str, Any], **properties: object) -> Record:
    parent = Ref("task", task_id)
    above, who = properties.get("reply_to"), name_of(author)
    return Record(
        ref=ref,
        parent=parent,
        title=f"Comment by {who}" if who else "Comment",
        body=storable(written.strip()) or None,
        status="resolved" if properties.get("resolved") else None,
        url=f"{APP}/t/{task_id}?comment={ref.id}",
        properties=present(author=who, task_id=task_id, **properties),
        edges=(
            Edge("parent_of", parent, ref),
            Edge("comment_on", ref, parent),
            *((Edge("reply_to", ref, Ref("comment", str(above))),) if above else ()),
        ),
        people=_people([person(author)]),
    )


def person(raw: object) -> Person | None:
    """A user object."""
    user = part(raw)
    id_ = identity(user.get("id"))
    return Person(id=id_, name=text(user.get("username")), email=text(user.get("email"))) if id_ else None


def ref_of(type_: str, raw: Mapping[str, Any]) -> Ref:
    """Which object this is. Raises `MalformedObject`."""
    if (id_ := identity(raw.get("id"))) is None:
        raise MalformedObject(f"a {type_} without an id")
    return Ref(type_, id_)


def _below(parent: Ref | None, ref: Ref) -> tuple[Edge, ...]:
    return (Edge("parent_of", parent, ref),) if parent else ()


def _people(found: Iterable[Person | None]) -> tuple[Person, ...]:
    return tuple({user.id: user for user in found if user}.values())


def name_of(raw: object) -> str | None:
    """How a user object is shown: by name, else by address, else by id."""
    user = part(raw)
    return text(user.get("username")) or text(user.get("email")) or identity(user.get("id"))


def present(**values: object) -> dict[str, Any]:
    """The properties there are; values of the API may hold what PostgreSQL cannot keep."""
    return {name: storable(value) for name, value in values.items() if value not in (None, [], {}, "")}


def _statuses(raw: Mapping[str, Any]) -> list[str]:
    return [name for status in items(raw.get("statuses")) if (name := text(status.get("status")))]


def _task_body(raw: Mapping[str, Any]) -> str | None:
    written = text(raw.get("markdown_description")) or text(raw.get("text_content")) or text(raw.get("description"))
    lines = [
        line
        for checklist in items(raw.get("checklists"))
        for line in (
            f"### {text(checklist.get('name')) or 'Checklist'}",
            *(
                f"- [{'x' if item.get('resolved') else ' '}] {text(item.get('name')) or ''}"
                for item in items(checklist.get("items"))
            ),
        )
    ]
    sections = [written, "\n".join(["## Checklists", *lines]) if lines else None]
    return "\n\n".join(section for section in sections if section) or None


def _dependencies(raw: Mapping[str, Any], ref: Ref) -> list[Edge]:
    """`task_id` depends on `depends_on`; either of them is this task."""
    pairs = [
        (identity(item.get("task_id")), identity(item.get("depends_on"))) for item in items(raw.get("dependencies"))
    ]
    return [Edge("depends_on", Ref("task", a), Ref("task", b)) for a, b in pairs if a and b and ref.id in (a, b)]


def _linked(raw: Mapping[str, Any], ref: Ref) -> list[Ref]:
    pairs = [(identity(item.get("task_id")), identity(item.get("link_id"))) for item in items(raw.get("linked_tasks"))]
    others = dict.fromkeys(end for pair in pairs for end in pair if end and end != ref.id)
    return [Ref("task", other) for other in others]
