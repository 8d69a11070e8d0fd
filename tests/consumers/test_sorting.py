"""Which deliveries of a batch are looked into, on a clock of the test's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from consumers.coalescing import Windows
from consumers.sorting import Heard, Known, along, sort
from events.envelope import Envelope
from integrations.registry import Preview
from schema.amendments import Standing
from schema.records import Ref

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
TASK, OTHER = Ref("task", "t1"), Ref("task", "t2")
INTEGRATION = uuid4()
WINDOW = 2.0


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def heard(
    number: int, *, changed: float, ref: Ref = TASK, complete: bool = True, shared: bool = True, replayed: bool = False,
    integration: UUID = INTEGRATION,
) -> Heard:  # fmt: skip
    """A delivery of a change so many seconds after T0."""
    envelope = Envelope(
        id=UUID(int=number), source="/test", type="clickup.task.updated", integration_id=integration, time=at(changed),
        data=b"{}", replayed=replayed,
    )  # fmt: skip
    preview = Preview(ref=ref, read=ref, changed_at=at(changed), complete=complete, shared=shared)
    return Heard(envelope, None, preview)


def known(version: float, *refs: Ref, integration: UUID = INTEGRATION) -> Known:
    return {integration: {ref: Standing(at(version), T0, {}) for ref in refs}}


def numbers(found: list[Heard]) -> list[int]:
    return [one.envelope.id.int for one in found]


def test_one_look_is_enough_for_all_that_were_heard_before_it() -> None:
    """Those held for the same thing come along; those held for another one stay."""
    windows, rows = Windows[Heard](window=WINDOW), known(0, TASK, OTHER)
    first = sort(windows, rows, [heard(1, changed=1), heard(3, changed=3, ref=OTHER)], now=10)
    assert sorted(id_.int for id_ in first.held) == [1, 3]
    second = sort(windows, rows, [heard(4, changed=4, complete=False)], now=11)
    assert numbers(second.due) == [4]
    assert numbers(along(windows, second.reads, {})) == [1]


def test_of_those_held_for_a_thing_the_latest_change_is_enough() -> None:
    """Whatever order they come in: the others are superseded, those of another thing are not."""
    windows, rows = Windows[Heard](window=WINDOW), known(0, TASK, OTHER)
    batch = [heard(1, changed=2), heard(2, changed=4), heard(3, changed=3), heard(4, changed=1, ref=OTHER)]
    first = sort(windows, rows, batch, now=10)
    assert numbers(first.superseded) == [1, 3]
    windows.settle(one.envelope.id for one in first.superseded)
    assert numbers(sort(windows, rows, [heard(5, changed=5)], now=10.1).superseded) == [2]
    windows.settle([UUID(int=2)])
    assert numbers(sort(windows, rows, [heard(6, changed=0.5)], now=10.2).superseded) == [6]


def test_what_tells_more_than_it_states_is_not_superseded() -> None:
    """It is to be read sooner than the others are; one that says no time may be later than any."""
    windows, rows = Windows[Heard](window=WINDOW), known(0, TASK)
    sort(windows, rows, [heard(1, changed=1, complete=False)], now=10)
    urgent, timeless = heard(2, changed=2, complete=False), heard(3, changed=3)
    timeless = Heard(timeless.envelope, None, timeless.preview._replace(changed_at=None))
    batched = sort(windows, rows, [urgent, timeless, heard(4, changed=9)], now=10.1)
    assert len(batched.held) == 3
    assert batched.superseded == []


@pytest.mark.parametrize(("version", "comes"), [(5, True), (6, True), (4.999, False), (None, False)])
def test_heard_after_the_look_began_it_comes_along_only_with_its_change(version: float | None, comes: bool) -> None:
    """The source's own clock decides whether what was read has it."""
    windows, rows = Windows[Heard](window=WINDOW), known(0, TASK)
    looked = sort(windows, rows, [heard(1, changed=1, complete=False)], now=10)
    later = sort(windows, rows, [heard(2, changed=5)], now=10.5)
    assert [id_.int for id_ in later.held] == [2]
    versions = {(INTEGRATION, TASK): None if version is None else at(version)}
    assert numbers(along(windows, looked.reads, versions)) == ([2] if comes else [])


def test_the_same_task_of_another_integration_is_another_thing() -> None:
    """Two integrations with one workspace: what one of them may read, the other perhaps may not."""
    other = uuid4()
    windows, rows = Windows[Heard](window=WINDOW), {**known(0, TASK), **known(0, TASK, integration=other)}
    sort(windows, rows, [heard(1, changed=1, integration=other)], now=10)
    looked = sort(windows, rows, [heard(2, changed=2, complete=False)], now=11)
    assert along(windows, looked.reads, {(INTEGRATION, TASK): at(9)}) == []


def test_what_no_look_for_another_one_finds_does_not_come_along() -> None:
    """A reply is found only by a look that was told of it."""
    windows, rows = Windows[Heard](window=WINDOW), known(0, TASK)
    assert sort(windows, rows, [heard(1, changed=1, shared=False)], now=10).held
    looked = sort(windows, rows, [heard(2, changed=2, complete=False)], now=11)
    assert along(windows, looked.reads, {(INTEGRATION, TASK): at(9)}) == []


def test_what_was_settled_does_not_come_along() -> None:
    windows, rows = Windows[Heard](window=WINDOW), known(0, TASK)
    sort(windows, rows, [heard(1, changed=1)], now=10)
    windows.settle([UUID(int=1)])
    looked = sort(windows, rows, [heard(2, changed=2, complete=False)], now=11)
    assert along(windows, looked.reads, {}) == []


def test_a_row_that_has_it_needs_no_look() -> None:
    """Done without one, unless it is replayed: then perhaps what is known is wrong."""
    windows, rows = Windows[Heard](window=WINDOW), known(5, TASK)
    batched = sort(
        windows, rows, [heard(1, changed=5), heard(2, changed=5, replayed=True), heard(3, changed=6)], now=10
    )
    assert (numbers(batched.done), numbers(batched.due), [id_.int for id_ in batched.held]) == ([1], [2], [3])
