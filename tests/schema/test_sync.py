"""The fold of applied changes: its sums and latest times are what a plain count gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from schema.records import TYPES
from schema.sync import Change, fold

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 15, 10, tzinfo=UTC)
FIRST, SECOND = UUID(int=1), UUID(int=2)
TIMED = ("workspace", "space", "folder", "list", "task")

changes = st.builds(
    Change,
    integration_id=st.sampled_from([FIRST, SECOND, UUID(int=2**127)]),
    external_type=st.sampled_from([*sorted(TYPES), "person"]),
    external_updated_at=st.none() | st.integers(0, 2**41).map(lambda ms: EPOCH + timedelta(milliseconds=ms)),
    applied_at=st.integers(-(10**9), 10**9).map(lambda us: NOW + timedelta(microseconds=us)),
)


def a_change(kind: str = "task", *, updated: datetime | None = None, applied: datetime = NOW) -> Change:
    return Change(integration_id=FIRST, external_type=kind, external_updated_at=updated, applied_at=applied)


def milliseconds(when: datetime) -> int:
    return (when - EPOCH) // timedelta(milliseconds=1)


@given(st.lists(changes, max_size=30))
@settings(max_examples=100, deadline=None)
def test_sums_equal_a_naive_count(applied: list[Change]) -> None:
    """Every sum, latest time and cursor is what counting by hand gives, one row an integration, in the ids' order."""
    rows = fold(applied)
    assert [row["integration_id"] for row in rows] == sorted({change.integration_id for change in applied})
    for row in rows:
        own = [change for change in applied if change.integration_id == row["integration_id"]]
        for kind, name in (("task", "tasks"), ("list", "lists"), ("space", "spaces")):
            assert row[name] == sum(change.external_type == kind for change in own)
        for kind in TIMED:
            times = [change.applied_at for change in own if change.external_type == kind]
            assert row.get(f"{kind}_at") == max(times, default=None)
        updated = [change.external_updated_at for change in own if change.external_updated_at is not None]
        assert row["cursor"] == (milliseconds(max(updated)) if updated else None)
        assert set(row) <= {"integration_id", "cursor", "tasks", "lists", "spaces", *(f"{kind}_at" for kind in TIMED)}


@given(st.lists(changes, max_size=15), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_order_does_not_count(applied: list[Change], random: Random) -> None:
    """The same changes in any order fold to the same rows."""
    shuffled = list(applied)
    random.shuffle(shuffled)
    assert fold(shuffled) == fold(applied)


def test_nothing() -> None:
    """No changes, no rows."""
    assert fold([]) == []


def test_no_time_moves_backwards() -> None:
    """A late change with an earlier time moves neither the time nor the cursor back."""
    early = NOW - timedelta(hours=1)
    (row,) = fold([a_change(updated=NOW, applied=NOW), a_change(updated=early, applied=early)])
    assert (row["task_at"], row["cursor"], row["tasks"]) == (NOW, milliseconds(NOW), 2)


def test_what_is_not_counted_still_has_a_row() -> None:
    """A comment, which has neither a sum nor a time of its own, is no error."""
    (row,) = fold([a_change("comment", updated=NOW)])
    assert row == {"integration_id": FIRST, "cursor": milliseconds(NOW), "tasks": 0, "lists": 0, "spaces": 0}


def test_milliseconds_are_exact() -> None:
    """The cursor has the very millisecond that the source said."""
    for ms in (1773569109811, 1773569451207, 253402300799999):
        (row,) = fold([a_change(updated=EPOCH + timedelta(milliseconds=ms))])
        assert row["cursor"] == ms
