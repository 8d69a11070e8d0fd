"""The rules of `schema/knowledge.py` on a real database: fences, tombstones, cascades; and order does not matter."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from integrations.sealing import Keyring
from schema import integrations
from schema.errors import DatabaseUnavailable
from schema.knowledge import apply, unknown
from schema.postgres import Database, Transaction
from schema.records import Cause, Edge, Look, Person, Record, Ref, Tombstone
from tests.conftest import Connected, connect

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPACE, FOLDER, LIST, OTHER = Ref("space", "1"), Ref("folder", "2"), Ref("list", "3"), Ref("list", "4")
TASK, SUBTASK, COMMENT = Ref("task", "t1"), Ref("task", "t2"), Ref("comment", "c1")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def record(ref: Ref, parent: Ref | None = None, *, title: str = "a", changed: float | None = None) -> Record:
    return Record(ref=ref, parent=parent, title=title, updated_at=None if changed is None else at(changed))


def deleted(ref: Ref, when: float) -> Tombstone:
    return Tombstone(ref=ref, because="deleted", deleted_at=at(when))


def gone(ref: Ref, when: float) -> Tombstone:
    return Tombstone(ref=ref, because="gone", deleted_at=at(when))


@dataclass(slots=True)
class Base:
    """The knowledge base of one integration, written to by looks."""

    database: Database
    connected: Connected
    sql: Any
    clock: float = 0

    async def write(self, *found: Record | Tombstone, seen: float | None = None) -> list[tuple[str, str, int]]:
        """Apply a look, again if two writers met, as the worker does."""
        while True:
            try:
                return await self._write(*found, seen=seen)
            except DatabaseUnavailable:
                self.clock -= 1

    async def _write(self, *found: Record | Tombstone, seen: float | None = None) -> list[tuple[str, str, int]]:
        """Apply a look; what changed, as action, id and version. `seen`: when the source was asked."""
        self.clock += 1
        cause = Cause(event_id=uuid4(), received_at=at(self.clock))
        look = Look(
            records=[(one, cause) for one in found if isinstance(one, Record)],
            tombstones=[(one, cause) for one in found if isinstance(one, Tombstone)],
        )
        async with self.database.transaction() as transaction:
            changed = await apply(
                transaction,
                integration=self.connected,
                source="clickup",
                look=look,
                observed_at=at(self.clock if seen is None else seen),
            )
        return [(row["action"], row["external_id"], row["version"]) for row in changed]

    def ids(self, *refs: Ref) -> tuple[UUID, ...]:
        return tuple(ref.object_id(self.connected.id) for ref in refs)

    async def dependencies(self) -> list[tuple[UUID, ...]]:
        rows = await self.sql.fetch("SELECT src_id, dst_id FROM kb.relationships WHERE type = 'depends_on'")
        return sorted(tuple(row) for row in rows)

    async def row(self, ref: Ref) -> Any:
        return await self.sql.fetchrow("SELECT * FROM kb.objects WHERE id = $1", ref.object_id(self.connected.id))

    async def alive(self) -> set[str]:
        rows = await self.sql.fetch(
            "SELECT external_id FROM kb.objects WHERE deleted_at IS NULL AND integration_id = $1", self.connected.id
        )
        return {row["external_id"] for row in rows}

    async def outline(self) -> list[tuple[Any, ...]]:
        """All rows without the times at which we happened to learn things."""
        rows = await self.sql.fetch(
            "SELECT external_type, external_id, external_parent_id, title, external_updated_at, version, action,"
            " deleted_at IS NULL, deleted_because FROM kb.objects WHERE integration_id = $1 ORDER BY 1, 2",
            self.connected.id,
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def base(database_url: str, connected: Connected, sql: Any) -> Any:
    """Under the consumer's own role, so that its grants are tested too."""
    database = await Database(database_url, program="test", role="kb_knowledge").open()
    yield Base(database, connected, sql)
    await database.close()


async def test_the_first_look_creates_and_the_second_changes_nothing(base: Base) -> None:
    """The same look twice is one change, and the row stays as it is to the last column."""
    assert await base.write(record(TASK, LIST, changed=1)) == [("created", "t1", 1)]
    before = await base.row(TASK)
    assert await base.write(record(TASK, LIST, changed=1)) == []
    assert await base.row(TASK) == before


async def test_newer_overwrites_and_older_does_not(base: Base) -> None:
    """The version fence, whichever look was taken later."""
    await base.write(record(TASK, LIST, title="new", changed=5))
    assert await base.write(record(TASK, LIST, title="old", changed=4)) == []
    assert await base.write(record(TASK, LIST, title="newer", changed=6), seen=0) == [("updated", "t1", 2)]
    assert (await base.row(TASK))["title"] == "newer"


async def test_equal_versions_go_by_the_later_look(base: Base) -> None:
    """A replay repairs a row of the same version; an older look in flight does not undo that."""
    await base.write(record(TASK, LIST, title="wrong", changed=5), seen=10)
    assert await base.write(record(TASK, LIST, title="right", changed=5), seen=11) == [("updated", "t1", 2)]
    assert await base.write(record(TASK, LIST, title="wrong", changed=5), seen=10) == []


async def test_kinds_without_a_version_go_by_the_later_look(base: Base) -> None:
    """Also after a look that found nothing new: an older one in flight cannot bring old content back."""
    await base.write(record(LIST, SPACE, title="a"), seen=1)
    assert await base.write(record(LIST, SPACE, title="a"), seen=5) == []
    assert await base.write(record(LIST, SPACE, title="b"), seen=3) == []
    assert await base.write(record(LIST, SPACE, title="c"), seen=6) == [("updated", "3", 2)]


async def test_a_late_update_never_undoes_a_deletion(base: Base) -> None:
    """Content older than the deletion stays below the tombstone, whatever look brings it."""
    await base.write(record(TASK, LIST, changed=1))
    assert await base.write(deleted(TASK, 10)) == [("deleted", "t1", 2)]
    assert await base.write(record(TASK, LIST, changed=1)) == []
    await base.write(record(TASK, LIST, title="late", changed=9))
    assert await base.alive() == set()
    assert await base.write(deleted(TASK, 10)) == []


async def test_a_real_re_creation_lives(base: Base) -> None:
    """A version younger than the deletion brings the object back, and subscribers see it created."""
    await base.write(record(TASK, LIST, changed=1))
    await base.write(deleted(TASK, 10))
    assert await base.write(record(TASK, LIST, changed=11)) == [("created", "t1", 3)]
    assert await base.alive() == {"t1"}


async def test_a_deletion_heard_first_holds(base: Base) -> None:
    """A look that was taken before the deletion and written after it does not bring the object to life."""
    assert await base.write(deleted(TASK, 10)) == [("deleted", "t1", 1)]
    await base.write(record(TASK, LIST, changed=1), seen=0)
    assert await base.alive() == set()


async def test_a_late_deletion_does_not_undo_a_re_creation(base: Base) -> None:
    """A deletion older than the version we have is history."""
    await base.write(record(TASK, LIST, changed=100))
    assert await base.write(deleted(TASK, 10)) == []
    assert await base.alive() == {"t1"}


async def test_an_old_deletion_heard_again_does_not_undo_what_a_listing_showed(base: Base) -> None:
    """A restored list has no version; the listing that showed it well after the deletion holds against a replay."""
    shown = replace(record(LIST), listed=True)
    task = record(TASK, LIST, changed=1)
    await base.write(shown, task, seen=0)
    await base.write(deleted(LIST, 10), seen=11)
    await base.write(shown, task, seen=100)
    assert await base.alive() == {LIST.id, TASK.id}
    assert await base.write(deleted(LIST, 10), seen=101) == []
    assert await base.write(record(LIST), seen=102) == []
    assert await base.write(deleted(LIST, 10), seen=103) == []
    assert await base.alive() == {LIST.id, TASK.id}
    assert len(await base.write(deleted(LIST, 104), seen=105)) == 2


async def test_what_was_gone_may_be_found_again(base: Base) -> None:
    """`gone` is what we could not read: a later look that finds it is right, an earlier one is not."""
    await base.write(record(TASK, LIST, changed=1), seen=1)
    assert await base.write(gone(TASK, 5), seen=5) == [("deleted", "t1", 2)]
    assert await base.write(record(TASK, LIST, changed=1), seen=4) == []
    assert await base.write(record(TASK, LIST, changed=1), seen=6) == [("created", "t1", 3)]
    assert await base.write(gone(TASK, 5), seen=5) == []


@pytest.mark.parametrize("container", [SPACE, FOLDER, LIST, TASK], ids=lambda ref: ref.type)
async def test_deleting_a_container_deletes_all_below(base: Base, container: Ref) -> None:
    """Down every level, subtasks and comments included, and nothing beside it."""
    chain = [record(SPACE), record(FOLDER, SPACE), record(LIST, FOLDER), record(TASK, LIST, changed=1),
             record(SUBTASK, TASK, changed=1), record(COMMENT, SUBTASK), record(OTHER, None)]  # fmt: skip
    await base.write(*chain)
    changed = await base.write(deleted(container, 10))
    below = [one.ref for one in chain[:6]][[SPACE, FOLDER, LIST, TASK].index(container) :]
    assert {ref for _, ref, _ in changed} == {ref.id for ref in below}
    assert await base.alive() == {one.ref.id for one in chain} - {ref.id for ref in below}
    assert (await base.row(COMMENT))["deleted_because"] == "cascade"


async def test_what_appears_below_a_deleted_container_is_dead(base: Base) -> None:
    """A task whose list is gone does not live, also when it is heard of only afterwards."""
    await base.write(record(LIST, SPACE))
    await base.write(deleted(LIST, 10))
    assert await base.write(record(TASK, LIST, changed=1)) == [("created", "t1", 1), ("deleted", "t1", 2)]
    assert await base.write(record(TASK, LIST, changed=1)) == []


async def test_what_moved_out_of_a_deleted_container_lives(base: Base) -> None:
    """A move heard after the deletion: the later look finds it below a list that lives."""
    await base.write(record(LIST, SPACE), record(OTHER, SPACE), record(TASK, LIST, changed=1))
    await base.write(deleted(LIST, 10))
    assert await base.write(record(TASK, OTHER, changed=2)) == [("created", "t1", 3)]
    assert await base.alive() == {"t1", "4"}


async def test_what_comes_back_brings_back_what_went_with_it(base: Base) -> None:
    """A container that could not be read and is found again: what was deleted only along with it lives again."""
    await base.write(record(LIST, SPACE), record(TASK, LIST, changed=1), record(COMMENT, TASK), record(SUBTASK, TASK))
    await base.write(deleted(SUBTASK, 3))
    await base.write(gone(LIST, 5))
    assert await base.alive() == set()
    assert {ref for _, ref, _ in await base.write(record(LIST, SPACE))} == {"3", "t1", "c1"}
    assert await base.alive() == {"3", "t1", "c1"}


async def test_clocks_that_differ_hide_no_deletion(base: Base) -> None:
    """A deletion heard a moment before ClickUp's time of the last edit is one all the same; a look that was under way
    does not undo it.
    """
    await base.write(record(TASK, LIST, changed=12), seen=11)
    assert await base.write(deleted(TASK, 11), seen=12) == [("deleted", "t1", 2)]
    await base.write(record(TASK, LIST, title="b", changed=13), seen=11.5)
    assert await base.alive() == set()


async def test_an_edit_heard_of_meanwhile_is_not_overwritten_by_a_post(base: Base) -> None:
    """Also when both are written by transactions that do not see one another."""
    edited = record(COMMENT, TASK, title="edited")
    posted = replace(record(COMMENT, TASK, title="posted"), insert_only=True)
    await asyncio.gather(base.write(edited), base.write(posted))
    assert (await base.row(COMMENT))["title"] == "edited"


async def test_nothing_survives_below_a_container_that_is_being_deleted(base: Base) -> None:
    """A task that is written while its list is deleted: whichever commits first, the task is dead."""
    for number in range(10):
        here = Ref("list", f"l{number}")
        await base.write(record(here, SPACE))
        tasks = [record(Ref("task", f"{number}.{one}"), here, changed=1) for one in range(20)]
        await asyncio.gather(*(base.write(one) for one in tasks[:10]), base.write(deleted(here, 50)),
                             *(base.write(one) for one in tasks[10:]))  # fmt: skip
    assert await base.alive() == set()


async def test_a_second_hand_account_only_fills_a_gap(base: Base) -> None:
    """What an event tells of a comment makes a row where there is none and overwrites nothing."""
    told = replace(record(COMMENT, TASK, title="told"), insert_only=True)
    assert await base.write(told) == [("created", "c1", 1)]
    await base.write(record(COMMENT, TASK, title="read"))
    assert await base.write(told) == []
    assert (await base.row(COMMENT))["title"] == "read"


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after the other"])
@pytest.mark.parametrize("first", [TASK, SUBTASK], ids=["its source first", "its target first"])
async def test_a_dependency_that_both_its_ends_state_is_one_edge(base: Base, first: Ref, together: bool) -> None:
    """It is what the source end says, as soon as that was read; till then the target's word is enough."""
    edges = (Edge("depends_on", TASK, SUBTASK),)
    other = SUBTASK if first is TASK else TASK
    both = [replace(record(ref, LIST, changed=1), edges=edges) for ref in (first, other)]
    await base.write(*both if together else both[:1])
    assert await base.dependencies() == [base.ids(TASK, SUBTASK)]
    await base.write(*both)
    assert await base.dependencies() == [base.ids(TASK, SUBTASK)]
    for seconds in (2, 3):  # read again, as the webhooks of any change make it
        await base.write(*(replace(one, title=str(seconds), updated_at=at(seconds)) for one in both))
        assert await base.dependencies() == [base.ids(TASK, SUBTASK)]
    await base.write(record(TASK, LIST, changed=4))
    assert await base.dependencies() == []
    await base.write(replace(record(SUBTASK, LIST, changed=4), edges=edges))
    assert await base.dependencies() == [base.ids(TASK, SUBTASK)]
    await base.write(record(SUBTASK, LIST, changed=5))
    assert await base.dependencies() == []


async def test_two_tasks_that_depend_on_each_other_have_two_edges(base: Base) -> None:
    """A circle is wrong, and the source's business."""
    edges = (Edge("depends_on", TASK, SUBTASK), Edge("depends_on", SUBTASK, TASK))
    await base.write(*(replace(record(ref, LIST, changed=1), edges=edges) for ref in (TASK, SUBTASK)))
    assert await base.dependencies() == sorted([base.ids(TASK, SUBTASK), base.ids(SUBTASK, TASK)])


async def test_edges_follow_the_last_reading(base: Base) -> None:
    """Edges that a reading no longer states are gone; those of others stay."""
    one, two = Edge("assigned_to", TASK, Ref("person", "1")), Edge("assigned_to", TASK, Ref("person", "2"))
    people = (Person(id="1", name="Ann"), Person(id="2"))
    await base.write(replace(record(TASK, LIST, changed=1), edges=(one, two), people=people))
    await base.write(replace(record(SUBTASK, TASK, changed=1), edges=(Edge("parent_of", TASK, SUBTASK),)))
    await base.write(replace(record(TASK, LIST, changed=2), edges=(two,)))
    rows = await base.sql.fetch("SELECT type, src_id, dst_id FROM kb.relationships ORDER BY type")
    here = base.connected.id
    assert [tuple(row) for row in rows] == [
        ("assigned_to", TASK.object_id(here), Ref("person", "2").object_id(here)),
        ("parent_of", TASK.object_id(here), SUBTASK.object_id(here)),
    ]
    assert await base.sql.fetchval("SELECT count(*) FROM kb.people") == 2


async def test_unknown_tells_what_has_no_row(base: Base) -> None:
    """A tombstone is knowledge too."""
    await base.write(record(LIST, SPACE), deleted(TASK, 1))
    assert await unknown(base.database, base.connected.id, [SPACE, LIST, TASK]) == {SPACE}


async def test_two_projects_may_follow_the_same_workspace(base: Base, database: Database, keyring: Keyring) -> None:
    """The same ids under another integration are other objects; a deletion in one leaves the other alone."""
    other = Base(database, await connect(database, keyring), base.sql)
    await base.write(record(LIST, SPACE), record(TASK, LIST, changed=1))
    await other.write(record(LIST, SPACE), record(TASK, LIST, changed=1))
    await base.write(deleted(LIST, 5))
    assert (await base.alive(), await other.alive()) == (set(), {"3", "t1"})


STEPS: Sequence[Record | Tombstone] = (
    record(SPACE),
    record(LIST, SPACE),
    record(TASK, LIST, changed=1),
    record(COMMENT, TASK),
    deleted(LIST, 50),
    deleted(SUBTASK, 50),
    record(SUBTASK, TASK, changed=1),
)


async def test_order_and_repetition_do_not_matter(base: Base, database: Database, keyring: Keyring) -> None:
    """Every order of the same looks, some of them repeated, ends in the same rows, versions and number of changes."""
    expected: tuple[list[tuple[Any, ...]], int] | None = None
    orders = list(itertools.permutations(STEPS))
    for order in random.Random(5).sample(orders, 60):  # noqa: S311  a sample of 5040, the same each time
        one = Base(database, await connect(database, keyring), base.sql)
        changes = 0
        for step in (*order, *order[::2]):
            changes += len(await one.write(step))
        result = (await one.outline(), changes)
        expected = expected or result
        assert result == expected, [step.ref for step in order]


async def test_a_deletion_of_the_integration_waits_for_a_look(base: Base, database: Database) -> None:
    """A look that has rows in hand and needs more is not met crosswise: it is written, then all of it goes."""
    await base.write(record(TASK, changed=1))
    cause = Cause(event_id=uuid4(), received_at=at(2))

    async def look(transaction: Transaction, one: Record) -> None:
        await apply(
            transaction,
            integration=base.connected,
            source="clickup",
            look=Look(records=[(one, cause)]),
            observed_at=at(5),
        )

    async with database.transaction() as transaction:
        await look(transaction, record(TASK, changed=2))
        deletion = asyncio.create_task(integrations.delete(database, base.connected.id, attempts=1))
        await asyncio.sleep(0.3)
        await look(transaction, record(SUBTASK, changed=2))
    assert await deletion
    assert await base.alive() == set()
