"""What deliveries state, in rows: pure rules first, then with looks on a real database."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from integrations.sealing import Keyring
from schema.amendments import amend, apply, compare
from schema.knowledge import apply as write
from schema.postgres import Database
from schema.records import Amendment, Cause, Edge, Look, Record, Ref, Tombstone
from tests.conftest import Connected, connect

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
TASK, LIST, OTHER, COMMENT = Ref("task", "t1"), Ref("list", "l1"), Ref("list", "l2"), Ref("comment", "c1")
READ = Record(
    ref=TASK,
    parent=LIST,
    title="Read",
    status="to do",
    labels=("old",),
    properties={"assignees": ["Ada"], "priority": "low", "list_id": "l1", "tags": ["old"]},
    updated_at=T0,
    edges=(Edge("parent_of", LIST, TASK),),
)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def states(path: str, value: Any, when: float, *, kind: str = "is", ref: Ref = TASK) -> Amendment:
    return Amendment(ref=ref, path=path, kind=kind, value=value, changed_at=at(when))


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "external_updated_at": T0,
        "observed_at": T0,
        "title": "Read",
        "body": None,
        "status": "to do",
        "labels": ["old"],
        "external_parent_type": "list",
        "external_parent_id": "l1",
        "properties": {"assignees": ["Ada"], "priority": "low"},
        "provisional": None,
        "amended_to": None,
    } | changes


@pytest.mark.parametrize(
    ("amendment", "changed"),
    [
        (states("status", "done", 1), {"status": "done"}),
        (states("title", "New", 1), {"title": "New"}),
        (states("body", None, 1), {"body": None}),
        (states("labels", "new", 1, kind="has"), {"labels": ["old", "new"]}),
        (states("labels", "old", 1, kind="has"), {"labels": ["old"]}),
        (states("labels", "old", 1, kind="lacks"), {"labels": []}),
        (states("parent", OTHER, 1), {"external_parent_id": "l2"}),
        (
            states("properties.priority", "high", 1),
            {"properties": {"assignees": ["Ada"], "priority": "high"}},
        ),
        (states("properties.priority", None, 1), {"properties": {"assignees": ["Ada"]}}),
        (states("properties.assignees", "Ada", 1, kind="lacks"), {"properties": {"priority": "low"}}),
        (
            states("properties.assignees", "Bo", 1, kind="has"),
            {"properties": {"assignees": ["Ada", "Bo"], "priority": "low"}},
        ),
    ],
    ids=lambda value: f"{value.path}-{value.kind}-{value.value}" if isinstance(value, Amendment) else "",
)
def test_an_amendment_changes_its_attribute_alone(amendment: Amendment, changed: dict[str, Any]) -> None:
    before = row()
    after = apply(before, [amendment])
    assert after is not None
    assert {name: value for name, value in after.items() if before[name] != value} == (
        {name: value for name, value in changed.items() if before[name] != value}
        | {"provisional": after["provisional"], "amended_to": at(1)}
    )
    assert list(after["provisional"].values()) == [at(1).isoformat()]
    assert apply(before | after, [amendment]) is None


def test_what_a_look_has_seen_is_not_amended() -> None:
    """A change that is not younger than the version read, or than the look where there is no version."""
    assert apply(row(), [states("status", "done", 0)]) is None
    assert apply(row(), [states("status", "done", -1)]) is None
    assert apply(row(external_updated_at=None, observed_at=at(5)), [states("body", "x", 5)]) is None
    assert apply(row(external_updated_at=None, observed_at=at(5)), [states("body", "x", 6)]) is not None


def test_a_subtask_keeps_its_parent() -> None:
    """A move names a list; what hangs below a task stays there."""
    after = apply(row(external_parent_type="task", external_parent_id="t0"), [states("parent", OTHER, 1)])
    assert after is None


def test_order_and_repetition_do_not_matter() -> None:
    """Every order of statements about several attributes, twice over, one by one, leaves the same row."""
    stated = [
        states("status", "doing", 1),
        states("status", "done", 3),
        states("properties.assignees", "Bo", 2, kind="has"),
        states("properties.assignees", "Ada", 4, kind="lacks"),
        states("title", "New", 2),
    ]
    ends = []
    for order in itertools.permutations(stated):
        one = row(id=None)
        for amendment in (*order, *order):
            one |= apply(one, [amendment]) or {}
        ends.append(one)
    assert all(end == ends[0] for end in ends)
    assert (ends[0]["status"], ends[0]["title"], ends[0]["properties"]["assignees"]) == ("done", "New", ["Bo"])


class Base:
    """The knowledge base of one integration."""

    def __init__(self, database: Database, sql: Any, connected: Connected) -> None:
        self.database, self.sql, self.connected = database, sql, connected

    async def look(self, *found: Record | Tombstone, seen: float) -> list[str]:
        """Apply a look that began then, by the database's clock moved to T0; what changed."""
        cause = Cause(event_id=uuid4(), received_at=T0)
        async with self.database.transaction() as transaction:
            changed = await write(
                transaction,
                integration=self.connected,
                source="clickup",
                look=Look(
                    records=[(one, cause) for one in found if isinstance(one, Record)],
                    tombstones=[(one, cause) for one in found if isinstance(one, Tombstone)],
                ),
                observed_at=at(seen),
            )
        return [row["action"] for row in changed]

    async def state(self, *stated: Amendment, heard: float | None = None) -> int:
        """Amend; how many rows changed. `heard`: when, by the same clock."""
        changed = await amend(self.database, self.connected.id, stated)
        if heard is not None:
            await self.sql.execute("UPDATE kb.objects SET amended_at = $1 WHERE provisional IS NOT NULL", at(heard))
        return len(changed)

    async def row(self, ref: Ref = TASK) -> Any:
        return await self.sql.fetchrow("SELECT * FROM kb.objects WHERE id = $1", ref.object_id(self.connected.id))


@pytest.fixture
async def base(database: Database, sql: Any, keyring: Keyring) -> Base:
    return Base(database, sql, await connect(database, keyring))


async def test_an_amended_row_is_provisional_and_no_version(base: Base) -> None:
    """The row says it and that nobody confirmed it; versions, events and statistics wait for the look."""
    await base.look(READ, seen=1)
    assert await base.state(states("status", "done", 5)) == 1
    found = await base.row()
    assert (found["status"], found["version"], found["action"]) == ("done", 1, "created")
    assert orjson.loads(found["provisional"]) == {"status": at(5).isoformat()}
    assert found["amended_at"] is not None


async def test_the_look_that_confirms_is_one_change(base: Base) -> None:
    await base.look(READ, seen=1)
    await base.state(states("status", "done", 5), heard=6)
    assert await base.look(replace(READ, status="done", updated_at=at(5)), seen=7) == ["updated"]
    found = await base.row()
    assert (found["status"], found["version"], found["provisional"]) == ("done", 2, None)


async def test_the_look_that_finds_nothing_new_corrects_in_silence(base: Base) -> None:
    """What was stated turned out wrong: the row is as read before, and nobody is told of a change that was none."""
    await base.look(READ, seen=1)
    await base.state(states("status", "done", 5), states("labels", "x", 5, kind="has"), heard=6)
    async with base.database.transaction() as transaction:
        assert await compare(transaction, base.connected.id, [READ]) == (0, 2)
    assert await base.look(READ, seen=7) == []
    found = await base.row()
    assert (found["status"], found["labels"], found["version"], found["provisional"]) == ("to do", ["old"], 1, None)


async def test_a_look_that_began_before_we_were_told_takes_nothing_back(base: Base) -> None:
    """Unless it has the change already."""
    await base.look(READ, seen=1)
    await base.state(states("status", "done", 5), heard=6)
    assert await base.look(replace(READ, title="Older", updated_at=at(4)), seen=5.5) == []
    assert (await base.row())["status"] == "done"
    assert await base.look(replace(READ, status="done", title="Newer", updated_at=at(5)), seen=5.5) == ["updated"]
    assert (await base.row())["title"] == "Newer"


async def test_only_what_lives_and_was_read_is_amended(base: Base) -> None:
    """No row, or a tombstone: nothing to amend; a deletion of an amended row is a deletion."""
    assert await base.state(states("status", "done", 5)) == 0
    await base.look(READ, seen=1)
    await base.state(states("status", "done", 5))
    assert await base.look(Tombstone(ref=TASK, because="deleted", deleted_at=at(6)), seen=7) == ["deleted"]
    assert await base.state(states("title", "Late", 8)) == 0


async def test_looks_tell_how_good_statements_were(base: Base) -> None:
    """Each attribute counts: confirmed or corrected."""
    await base.look(READ, seen=1)
    await base.state(
        states("status", "done", 5),
        states("properties.priority", "high", 5),
        states("labels", "new", 5, kind="has"),
        states("parent", OTHER, 5),
    )
    seen = replace(READ, status="done", labels=("old", "new"), parent=OTHER)
    async with base.database.transaction() as transaction:
        assert await compare(transaction, base.connected.id, [seen]) == (3, 1)
        assert await compare(transaction, base.connected.id, [replace(seen, insert_only=True)]) == (0, 0)
