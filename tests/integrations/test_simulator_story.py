"""Stories repeat by their seed, stay bounded, and leave a workspace that the API can show."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.clickup.simulator import task_rendering
from integrations.clickup.simulator.story import next_step, populate, tell
from integrations.clickup.simulator.workspace import Workspace

Body = dict[str, Any]


class Clock:
    """A clock that goes one second on each time it is read."""

    def __init__(self) -> None:
        self._at = datetime(2026, 3, 15, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        self._at += timedelta(seconds=1)
        return self._at


def story(seed: int, edits: int, *, hooks: int = 0) -> list[Body]:
    ws = Workspace(seed=seed, clock=Clock())
    told = populate(ws)
    for at in range(hooks):
        ws.add_webhook(f"https://example.com/{at}")
    chance = ws.random_for("story")
    for _ in range(edits):
        told += next_step(ws, chance)
    return told


def test_same_seed_same_story() -> None:
    """One seed and clock give the same bodies, whatever webhooks are registered meanwhile; another seed others."""
    assert story(5, 300) == story(5, 300, hooks=3)
    assert story(5, 300) != story(6, 300)


def test_populate_makes_what_is_asked() -> None:
    """The starting company has the spaces, folders, lists and tasks that were asked for."""
    ws = Workspace(seed=1, clock=Clock())
    told = populate(ws, spaces=3, folders_per_space=4, lists_per_folder=2, tasks_per_list=5)
    assert len(ws.spaces) == 3
    assert len([one for one in ws.folders.values() if not one.hidden]) == 12
    assert len(ws.lists) == 3 * (1 + 4 * 2)
    assert len([one for one in ws.tasks.values() if one.parent is None]) == 27 * 5
    assert any(one.parent for one in ws.tasks.values())
    assert {"spaceCreated", "taskCreated", "taskCommentPosted", "goalCreated"} <= {one["event"] for one in told}


def test_story_is_bounded_and_whole() -> None:
    """A long story speaks of nearly every event, does not grow past its bound, and always renders."""
    ws = Workspace(seed=2, clock=Clock())
    told = populate(ws)
    chance = ws.random_for("story")
    for _ in range(6_000):
        told += next_step(ws, chance, max_tasks=150)
        assert len(ws.tasks) <= 152
    assert len({one["event"] for one in told}) == 28
    for task in ws.tasks.values():
        assert task_rendering.task(ws, task)["list"]["id"] in ws.lists
    assert len(ws.spaces) <= 6
    assert len(ws.lists) <= 60


def test_empty_workspace_has_no_next_step() -> None:
    """Without a space there is nothing to edit, and the error says what to do."""
    with pytest.raises(ValueError, match="call populate first"):
        next_step(Workspace(seed=1, clock=Clock()), Workspace(seed=1, clock=Clock()).random_for("x"))


async def test_tell_keeps_its_rate_and_stops() -> None:
    """Edits come at about the asked rate, and setting stop ends the story at once."""
    ws = Workspace(seed=3, clock=Clock())
    populate(ws)
    stop, told = asyncio.Event(), list[list[Body]]()

    async def deliver(bodies: list[Body]) -> None:
        told.append(bodies)
        if len(told) == 20:
            stop.set()

    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        await tell(ws, deliver, rate_per_second=100, stop=stop, chance=ws.random_for("story"))
    assert len(told) == 20
    assert asyncio.get_running_loop().time() - began >= 0.15


async def test_tell_ends_after_so_many_changes() -> None:
    """It makes them and returns, though nobody stops it."""
    ws = Workspace(seed=3, clock=Clock())
    populate(ws)
    told = list[list[Body]]()

    async def deliver(bodies: list[Body]) -> None:
        told.append(bodies)

    async with asyncio.timeout(10):
        await tell(ws, deliver, rate_per_second=1000, stop=asyncio.Event(), chance=ws.random_for("story"), changes=7)
    assert len(told) == 7
