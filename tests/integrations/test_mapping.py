"""ClickUp's documented fields land where they belong, and no value of any type stops a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.clickup import goals, mapping
from integrations.clickup.mapping import MalformedObject
from integrations.clickup.values import moment
from integrations.clickup.webhook import Comment
from schema.records import Edge, Person, Record, Ref

WS = "90131007715"
NADIA = {"id": 48213377, "username": "Nadia Okafor", "email": "nadia.okafor@example.com"}
TOMAS = {"id": 48213390, "username": None, "email": "tomas.rivera@example.com", "color": None}


def a_task(**more: Any) -> dict[str, Any]:
    """A task as GET /task/{id} gives it."""
    return {
        "id": "868cq4m2x",
        "custom_id": None,
        "custom_item_id": 0,
        "name": "Rotate the broker certificates",
        "text_content": "Drain the consumers.",
        "markdown_description": "Drain the **consumers**.",
        "status": {"status": "in progress", "color": "#5f55ee", "orderindex": 1, "type": "custom"},
        "date_created": "1773568805123",
        "date_updated": "1773569109811",
        "date_closed": None,
        "due_date": "1774512000000",
        "archived": False,
        "creator": NADIA,
        "assignees": [NADIA, TOMAS],
        "tags": [{"name": "runbook", "tag_fg": "#fff"}, {"name": "q1"}],
        "parent": None,
        "priority": {"id": "2", "priority": "high", "orderindex": "2"},
        "points": 3,
        "time_estimate": "7200000",
        "locations": [{"id": "901305551277", "name": "Published"}],
        "list": {"id": "901305551201", "name": "Incidents", "access": True},
        "project": {"id": "90131880442", "name": "Runbooks", "hidden": False},
        "folder": {"id": "90131880442", "name": "Runbooks", "hidden": False},
        "space": {"id": "90131120077"},
        "url": "https://app.clickup.com/t/868cq4m2x",
    } | more


def a_list(**more: Any) -> dict[str, Any]:
    return {
        "id": "901305551201",
        "name": "Incidents",
        "content": "What broke",
        "folder": {"id": "90131880442", "name": "Runbooks", "hidden": False},
        "space": {"id": "90131120077", "name": "Platform"},
        "due_date": "1774512000000",
        "start_date": None,
        "priority": None,
        "status": {"status": "red", "color": "#f00"},
        "statuses": [{"status": "to do"}, {"status": "done"}],
        "archived": False,
    } | more


def test_task() -> None:
    """Each documented field of a task is in its column or its property, dates as UTC."""
    record = mapping.task(a_task())
    assert record.ref == Ref("task", "868cq4m2x")
    assert record.parent == Ref("list", "901305551201")
    assert (record.title, record.status) == ("Rotate the broker certificates", "in progress")
    assert record.body == "Drain the **consumers**."
    assert record.url == "https://app.clickup.com/t/868cq4m2x"
    assert record.labels == ("runbook", "q1")
    assert record.updated_at == datetime(2026, 3, 15, 10, 5, 9, 811000, UTC)
    assert record.properties == {
        "custom_item_id": 0,
        "status_type": "custom",
        "priority": "high",
        "archived": False,
        "list_id": "901305551201",
        "folder_id": "90131880442",
        "space_id": "90131120077",
        "creator": "Nadia Okafor",
        "assignees": ["Nadia Okafor", "tomas.rivera@example.com"],
        "tags": ["runbook", "q1"],
        "date_created": "2026-03-15T10:00:05.123000Z",
        "due_date": "2026-03-26T08:00:00Z",
        "time_estimate": 7200000,
        "points": 3,
    }
    assert record.people == (
        Person(id="48213377", name="Nadia Okafor", email="nadia.okafor@example.com"),
        Person(id="48213390", name=None, email="tomas.rivera@example.com"),
    )


def test_edges_of_a_task() -> None:
    """A task is in its home and its further lists, depends, is linked and is assigned, each once."""
    raw = a_task(
        dependencies=[
            {"task_id": "868cq4m2x", "depends_on": "first"},
            {"task_id": "later", "depends_on": "868cq4m2x"},
            {"task_id": "not", "depends_on": "ours"},
        ],
        linked_tasks=[{"task_id": "868cq4m2x", "link_id": "other"}, {"task_id": "other", "link_id": "868cq4m2x"}],
        locations=[{"id": "901305551277"}, {"id": "901305551201"}, {"id": None}],
    )
    ref, home = Ref("task", "868cq4m2x"), Ref("list", "901305551201")
    assert mapping.task(raw).edges == (
        Edge("parent_of", home, ref),
        Edge("in_list", ref, home),
        Edge("in_list", ref, Ref("list", "901305551277")),
        Edge("depends_on", ref, Ref("task", "first")),
        Edge("depends_on", Ref("task", "later"), ref),
        Edge("linked_to", ref, Ref("task", "other")),
        Edge("assigned_to", ref, Ref("person", "48213377")),
        Edge("assigned_to", ref, Ref("person", "48213390")),
    )


def test_subtask() -> None:
    """A subtask hangs below its parent task and is in its list all the same."""
    record = mapping.task(a_task(parent="868cq4n7k", locations=[]))
    assert record.parent == Ref("task", "868cq4n7k")
    assert record.properties["parent_id"] == "868cq4n7k"
    assert Edge("in_list", record.ref, Ref("list", "901305551201")) in record.edges


CHECKLISTS = """Drain the **consumers**.

## Checklists
### A
- [x] Backup
- [ ] Tell
### Checklist
- [ ] Nameless
### Checklist"""


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        ({"markdown_description": None}, "Drain the consumers."),
        ({"markdown_description": "", "text_content": None, "description": "Plain"}, "Plain"),
        ({"markdown_description": "", "text_content": None}, None),
        (
            {
                "checklists": [
                    {
                        "name": "A",
                        "items": [{"name": "Backup", "resolved": True}, {"name": "Tell", "resolved": 0}],
                    },
                    {"name": None, "items": [{"name": "Nameless"}, None]},
                    {"items": None},
                ]
            },
            CHECKLISTS,
        ),
        ({"markdown_description": "", "text_content": "", "checklists": [{"name": "A"}]}, "## Checklists\n### A"),
    ],
)
def test_body_of_a_task(raw: dict[str, Any], body: str | None) -> None:
    """A task's text is its Markdown, else its plain text, and its checklists follow as Markdown."""
    assert mapping.task(a_task(**raw)).body == body


def test_list() -> None:
    """A list has no time of its change, and never its due date in its place; its status is its colour's name."""
    record = mapping.list_(a_list(), workspace_id=WS)
    assert record.updated_at is None
    assert record.content()["external_updated_at"] is None
    assert record.properties["due_date"] == "2026-03-26T08:00:00Z"
    assert record.parent == Ref("folder", "90131880442")
    assert record.edges == (Edge("parent_of", record.parent, record.ref),)
    assert (record.title, record.body, record.status) == ("Incidents", "What broke", "red")
    assert "statuses" not in record.properties  # a listing does not have them, and both must be the same record
    assert record.url == f"https://app.clickup.com/{WS}/v/li/901305551201"


@pytest.mark.parametrize(
    ("more", "parent"),
    [
        ({"folder": {"id": "1", "name": "hidden", "hidden": True}}, Ref("space", "90131120077")),
        ({"folder": None}, Ref("space", "90131120077")),
        ({"folder": {"id": 5}}, Ref("folder", "5")),
        ({"folder": {"id": "1", "hidden": True}, "space": None}, None),
    ],
)
def test_folderless_list(more: dict[str, Any], parent: Ref | None) -> None:
    """A folderless list, in ClickUp's hidden pseudo-folder, hangs below its space."""
    record = mapping.list_(a_list(**more), workspace_id=WS)
    assert record.parent == parent
    assert len(record.edges) == (parent is not None)


def test_folderless_task() -> None:
    """A task of a folderless list names no folder."""
    hidden = {"id": "90131880999", "name": "hidden", "hidden": True}
    assert "folder_id" not in mapping.task(a_task(folder=hidden, project=hidden)).properties


def test_folders_space_and_workspace() -> None:
    """A folder lies in its space, a subfolder in its folder, a space in the workspace, which lies in nothing."""
    raw = {"id": 7, "name": "Runbooks", "hidden": False, "space": {"id": "2"}, "task_count": "12"}
    folder = mapping.folder(raw, workspace_id=WS)
    below = mapping.folder(raw | {"id": "8", "parent_folder": "7"}, workspace_id=WS)
    assert (folder.ref, folder.parent, below.parent) == (Ref("folder", "7"), Ref("space", "2"), Ref("folder", "7"))
    assert folder.properties == {"hidden": False, "space_id": "2"}
    space = mapping.space(
        {"id": "2", "name": "Platform", "private": None, "features": {"tags": {"enabled": True}, "wip": None}},
        workspace_id=WS,
    )
    assert space.parent == Ref("workspace", WS)
    assert space.properties == {"features": {"tags": True, "wip": False}}
    assert space.edges == (Edge("parent_of", space.parent, space.ref),)
    top = mapping.workspace({"id": WS, "name": "Northwind", "members": [{"user": NADIA}, {"user": None}]})
    assert (top.ref, top.parent, top.edges, top.title) == (Ref("workspace", WS), None, (), "Northwind")
    assert [one.name for one in top.people] == ["Nadia Okafor"]


def test_comment() -> None:
    """A comment stands on its task, has its author, and its text without the last line break."""
    raw = {"id": 458, "comment_text": "Done\n", "user": NADIA, "date": "1773569451207", "reply_count": "2"}
    record = mapping.comment(raw, task_id="868cq4m2x")
    task = Ref("task", "868cq4m2x")
    assert (record.ref, record.parent, record.body) == (Ref("comment", "458"), task, "Done")
    assert record.edges == (Edge("parent_of", task, record.ref), Edge("comment_on", record.ref, task))
    assert record.title == "Comment by Nadia Okafor"
    assert "reply_count" not in record.properties  # a reply is no change of the comment
    assert record.status is None
    blocks = {"id": "1", "comment": [{"text": "a"}, {"text": None}, "x", {"text": "b\n"}], "resolved": True}
    assert mapping.comment(blocks, task_id="1").body == "ab"
    assert mapping.comment(blocks, task_id="1").status == "resolved"
    assert mapping.comment(blocks, task_id="1").title == "Comment"


@pytest.mark.parametrize("edited", [False, True])
def test_heard_comment(edited: bool) -> None:
    """What only an event told is as good as read, but a post is only for a row that is not there yet."""
    heard = Comment(id="458", text="Done\n", author=NADIA, posted_at=moment("1773569451207"))
    record = mapping.heard_comment(heard, task_id="868cq4m2x", edited=edited)
    raw = {"id": "458", "comment_text": "Done\n", "user": NADIA, "date": "1773569451207"}
    assert record.insert_only is not edited
    assert record.content() == mapping.comment(raw, task_id="868cq4m2x").content()


def test_goal() -> None:
    """A goal lies in the workspace and brings its key results, each below it with its state."""
    results = [
        {"id": "k1", "name": "Ship", "completed": True, "percent_completed": 100},
        {"id": "k2", "type": "number"},
    ]
    raw = {"id": "g1", "name": "Q1", "description": "All of it", "team_id": WS, "percent_completed": 50}
    goal, first, second = goals.goal(raw | {"key_results": results}, workspace_id="other")
    assert (goal.ref, goal.parent, goal.body) == (Ref("goal", "g1"), Ref("workspace", WS), "All of it")
    assert (first.ref, first.parent, first.status) == (Ref("key_result", "k1"), goal.ref, "completed")
    assert (second.status, second.properties) == ("open", {"kind": "number"})


WITHOUT_ID: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "task": mapping.task,
    "list": lambda raw: mapping.list_(raw, workspace_id=WS),
    "folder": lambda raw: mapping.folder(raw, workspace_id=WS),
    "space": lambda raw: mapping.space(raw, workspace_id=WS),
    "workspace": mapping.workspace,
    "comment": lambda raw: mapping.comment(raw, task_id="1"),
    "goal": lambda raw: goals.goal(raw, workspace_id=WS),
}


@pytest.mark.parametrize("kind", WITHOUT_ID)
@pytest.mark.parametrize("raw", [{}, {"id": None}, {"id": ""}, {"id": False}, {"id": {}}, {"id": ["1"]}, {"id": "\0"}])
def test_no_id_no_record(kind: str, raw: dict[str, Any]) -> None:
    """An object without a usable id is malformed, and the message says what kind of object it was."""
    with pytest.raises(MalformedObject, match=f"a {kind} without an id"):
        WITHOUT_ID[kind](raw)


KEYS = [
    *sorted(a_task() | a_list()),
    *("user", "members", "features", "checklists", "items", "resolved", "custom_fields", "type_config", "options"),
    *("value", "type", "label", "orderindex", "dependencies", "task_id", "depends_on", "linked_tasks", "link_id"),
    *("comment", "comment_text", "date", "key_results", "parent_folder", "username", "email", "team_id", "hidden"),
]
strange = st.text(st.characters(), max_size=6) | st.sampled_from(
    ["\x00", "\ud83d", "a\x00b", "1773569451207", "-1", "1e300", "nan", "drop_down", "labels", "date"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | strange,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | strange, inner, max_size=5),
    max_leaves=20,
)
objects = st.dictionaries(st.sampled_from(KEYS) | strange, values, max_size=12)


def strings(value: object) -> Iterator[str]:
    """Every string in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from (key, *strings(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner)


def assert_storable(record: Record) -> None:
    """PostgreSQL keeps all of it: a hash can be made, every id says something, no NUL, no lone surrogates."""
    people = [(person.id, person.name, person.email) for person in record.people]
    assert len(record.content_hash()) == 32
    assert all([record.ref.id, *(end.id for edge in record.edges for end in edge[1:]), *(id_ for id_, *_ in people)])
    for found in strings([record.content(), record.edges, people]):
        assert "\x00" not in found
        found.encode()


@given(raw=objects, kind=st.sampled_from(sorted(WITHOUT_ID)))
@settings(max_examples=100, deadline=None)
def test_any_object_with_an_id(raw: dict[str, Any], kind: str) -> None:
    """An object with an id is a record whatever else it holds, of any kind, and PostgreSQL can keep it."""
    if kind == "goal":
        raw.pop("key_results", None)
    made = WITHOUT_ID[kind](raw | {"id": "868cq4m2x"})
    for record in made if isinstance(made, list) else [made]:
        assert isinstance(record, Record)
        assert_storable(record)


@pytest.mark.parametrize(
    "raw",
    [
        {"time_estimate": 10**40},
        {"time_estimate": "1e300"},
        {"custom_item_id": 2**64},
        {"points": float("nan")},
        {"points": float("inf")},
        {"custom_fields": [{"name": "N", "value": 2**70}]},
        {"custom_fields": [{"name": "N", "value": [float("nan")]}]},
        {"name": "a\x00b\ud83d", "tags": [{"name": "\x00"}], "assignees": [{"id": "\x00"}]},
        {"list": {"id": "\x00"}, "parent": "\x00"},
        {"archived": json.loads("[" * 300 + "]" * 300)},
        {"date_updated": 10**400, "due_date": "-1"},
    ],
    ids="-".join,
)
def test_extreme_values(raw: dict[str, Any]) -> None:
    """Numbers past 64 bits, NaN, NUL, surrogates and depth still give a record that can be hashed and stored."""
    assert_storable(mapping.task(a_task(**raw)))
