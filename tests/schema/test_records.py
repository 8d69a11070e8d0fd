"""Records and their hashes: equal hashes mean that nothing changed, and ids are known before rows exist."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.records import TYPES, Edge, Record, Ref

INTEGRATION = UUID("5d0c3c5e-9c1a-4f0e-8a57-1f2f1f0a9b3d")
TASK, LIST = Ref("task", "868cq4m2x"), Ref("list", "901305551201")

few = st.sampled_from(["", "a", "b", "task", "1", "é"])
refs = st.builds(Ref, st.sampled_from(sorted(TYPES)), st.sampled_from(["1", "2", "a/b"]))
edges = st.builds(Edge, st.sampled_from(["parent_of", "in_list"]), refs, refs)
properties = st.dictionaries(few, st.none() | st.booleans() | few | st.lists(few, max_size=2), max_size=3)
times = st.none() | st.sampled_from([datetime(2026, 3, 15, 10, 0, second, tzinfo=UTC) for second in (0, 1)])
records = st.builds(
    Record,
    ref=refs,
    parent=st.none() | refs,
    title=st.none() | few,
    body=st.none() | few,
    status=st.none() | few,
    labels=st.lists(few, max_size=2).map(tuple),
    properties=properties,
    updated_at=times,
    edges=st.lists(edges, max_size=2).map(tuple),
)


def a_record(**more: Any) -> Record:
    return Record(
        **{
            "ref": TASK,
            "parent": LIST,
            "title": "Rotate",
            "properties": {"a": 1, "b": [1, 2]},
            "edges": (Edge("parent_of", LIST, TASK), Edge("in_list", TASK, LIST)),
        }
        | more
    )


def content(record: Record) -> str:
    """All that counts, written by another serializer."""
    ordered = sorted(json.dumps(edge) for edge in record.edges)
    return json.dumps([record.content(), ordered], sort_keys=True, default=str)


@given(records, records)
@settings(max_examples=100, deadline=None)
def test_equal_hashes_are_equal_contents(one: Record, other: Record) -> None:
    """Two records have the same hash if and only if their content and edges are the same."""
    assert (one.content_hash() == other.content_hash()) == (content(one) == content(other))


@given(records, st.data())
@settings(max_examples=100, deadline=None)
def test_any_one_change_changes_the_hash(record: Record, data: st.DataObject) -> None:
    """Changing one field changes the hash exactly if it changes the content."""
    name = data.draw(st.sampled_from(["parent", "title", "body", "status", "labels", "properties", "edges"]))
    changed = replace(record, **{name: getattr(data.draw(records), name)})
    assert (record.content_hash() == changed.content_hash()) == (content(record) == content(changed))


def test_order_does_not_count() -> None:
    """The order of properties and edges, and whether the account is second-hand, are no change."""
    record = a_record()
    same = a_record(
        properties={"b": [1, 2], "a": 1},
        edges=tuple(reversed(record.edges)),
        insert_only=True,
    )
    assert record.content_hash() == same.content_hash()


@pytest.mark.parametrize(
    "more",
    [
        {"title": None},
        {"title": "Rotate "},
        {"title": None, "body": "Rotate"},
        {"properties": {"a": "1", "b": [1, 2]}},
        {"properties": {"a": 1, "b": [2, 1]}},
        {"properties": {"a": 1, "b": [1, 2], "c": None}},
        {"labels": ("Rotate",)},
        {"updated_at": datetime(2026, 3, 15, tzinfo=UTC)},
        {"parent": Ref("task", LIST.id)},
        {"parent": None},
        {"edges": ()},
        {"edges": (Edge("in_list", LIST, TASK), Edge("parent_of", TASK, LIST))},
        {"edges": (Edge("parent_of", LIST, TASK), Edge("in_list", TASK, Ref("list", "2")))},
    ],
    ids=str,
)
def test_what_counts(more: dict[str, Any]) -> None:
    """A changed value, type, order of a list, place, time or edge is a change."""
    assert a_record().content_hash() != a_record(**more).content_hash()


def test_content() -> None:
    """A record's content is the columns that its source fills, its type among them, and nothing of a parent if none."""
    found = a_record(url="https://x").content()
    assert found["type"] == "task"
    assert (found["external_type"], found["external_id"], found["external_url"]) == ("task", "868cq4m2x", "https://x")
    assert (found["external_parent_type"], found["external_parent_id"]) == LIST
    top = a_record(parent=None).content()
    assert (top["external_parent_type"], top["external_parent_id"]) == (None, None)
    assert set(found) == set(top)


@pytest.mark.parametrize("external_type", sorted(TYPES))
def test_every_type_has_content(external_type: str) -> None:
    """Each kind of thing that a source has is a type of the knowledge base."""
    assert Record(ref=Ref(external_type, "1"), parent=None).content()["type"] == TYPES[external_type]


def test_containers_come_first() -> None:
    """The types are in the order of the hierarchy, so that what holds is written before what it holds."""
    assert list(TYPES)[:6] == ["workspace", "space", "folder", "list", "task", "comment"]


@given(refs, refs)
@settings(max_examples=60, deadline=None)
def test_object_ids(one: Ref, other: Ref) -> None:
    """An id is the same for the same thing of the same integration, and differs for any other."""
    assert one.object_id(INTEGRATION) == Ref(*one).object_id(INTEGRATION)
    assert (one.object_id(INTEGRATION) == other.object_id(INTEGRATION)) == (one == other)
    assert one.object_id(INTEGRATION) != one.object_id(uuid4())
