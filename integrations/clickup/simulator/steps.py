"""The single edits a story is made of, and how often each happens.

A step picks what it works on, makes one change as somebody of the company, and returns the webhook bodies; it
returns none if there is nothing fitting to change. Steps that add stop adding at a bound, so a story runs for days.
"""

import random
from collections.abc import Callable
from typing import TypeVar

from integrations.clickup.simulator import phrases
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.records import Task
from integrations.clickup.simulator.workspace import Workspace

MAX_SPACES, MAX_FOLDERS, MAX_LISTS, MAX_GOALS, MAX_COMMENTS = 6, 18, 36, 8, 40
_HOUR = 3_600_000

Picked = TypeVar("Picked")
Step = Callable[[Workspace, random.Random], list[Body]]


def actor(workspace: Workspace, chance: random.Random) -> int:
    """Somebody of the company."""
    return chance.choice(workspace.colleagues()).id


def title(chance: random.Random) -> str:
    """A task's title."""
    return f"{chance.choice(phrases.VERBS)} {chance.choice(phrases.THINGS)}{chance.choice(phrases.ENDINGS)}"


def new_task(workspace: Workspace, chance: random.Random, list_id: str | None = None) -> list[Body]:
    """Somebody writes a task down."""
    home = list_id or chance.choice(list(workspace.lists))
    return workspace.create_task(
        home,
        title(chance),
        description=chance.choice(("", *phrases.DESCRIPTIONS)),
        assignees=[actor(workspace, chance)] if chance.random() < 0.7 else [],
        priority=chance.choice((None, None, 1, 2, 3, 4)),
        by=actor(workspace, chance),
    )


def new_subtask(workspace: Workspace, chance: random.Random) -> list[Body]:
    """Somebody breaks a task down."""
    task = _task(workspace, chance)
    if task is None or task.parent is not None:
        return []
    return workspace.create_task(task.list_id, title(chance), parent=task.id, by=actor(workspace, chance))


def advance(workspace: Workspace, chance: random.Random, task_id: str | None = None) -> list[Body]:
    """A task goes to the next column of its workflow, or sometimes any other one."""
    task = workspace.tasks[task_id] if task_id else _task(workspace, chance)
    if task is None:
        return []
    statuses = workspace.statuses_of(task.list_id)
    following = statuses[(task.status.orderindex + 1) % len(statuses)]
    target = following if chance.random() < 0.8 else chance.choice(statuses)
    return workspace.set_status(task.id, target.name, by=actor(workspace, chance))


def rename(workspace: Workspace, chance: random.Random) -> list[Body]:
    """A task's title is made clearer."""
    task = _task(workspace, chance)
    return workspace.rename_task(task.id, title(chance), by=actor(workspace, chance)) if task else []


def describe(workspace: Workspace, chance: random.Random) -> list[Body]:
    """A task's description is written anew."""
    task = _task(workspace, chance)
    words = " ".join(chance.sample(phrases.DESCRIPTIONS, 2))
    return workspace.describe_task(task.id, words, by=actor(workspace, chance)) if task else []


def comment(workspace: Workspace, chance: random.Random) -> list[Body]:
    """Somebody comments, or answers a comment."""
    task = _task(workspace, chance)
    if task is None:
        return []
    there = workspace.comments_on(task.id)
    if len(there) >= MAX_COMMENTS:
        return []
    top = [one.id for one in there if one.reply_to is None]
    thread = chance.choice(top) if top and chance.random() < 0.3 else None
    words = chance.choice(phrases.REPLIES if thread else phrases.REMARKS)
    return workspace.post_comment(task.id, words, reply_to=thread, by=actor(workspace, chance))


def edit_comment(workspace: Workspace, chance: random.Random) -> list[Body]:
    """Somebody corrects a comment."""
    one = _any(chance, list(workspace.comments))
    return workspace.edit_comment(one, chance.choice(phrases.REMARKS) + " (edited)") if one else []


def assign(workspace: Workspace, chance: random.Random) -> list[Body]:
    """A task gets one more assignee, or loses one."""
    task = _task(workspace, chance)
    if task is None:
        return []
    if task.assignees and chance.random() < 0.4:
        return workspace.remove_assignee(task.id, chance.choice(task.assignees), by=actor(workspace, chance))
    return workspace.add_assignee(task.id, actor(workspace, chance), by=actor(workspace, chance))


def plan(workspace: Workspace, chance: random.Random) -> list[Body]:
    """A task gets a priority, a due date, an estimate, time or a tag."""
    task, by = _task(workspace, chance), actor(workspace, chance)
    if task is None:
        return []
    kind = chance.randrange(5)
    if kind == 0:
        return workspace.set_priority(task.id, chance.choice((None, 1, 2, 3, 4)), by=by)
    if kind == 1:
        return workspace.set_due_date(task.id, workspace.now() + chance.randint(4, 400) * _HOUR, by=by)
    if kind == 2:
        return workspace.set_time_estimate(task.id, chance.randint(1, 16) * _HOUR // 2, by=by)
    if kind == 3:
        return workspace.track_time(task.id, chance.randint(1, 12) * _HOUR // 12, by=by)
    return workspace.add_tag(task.id, chance.choice(phrases.TAGS), by=by)


def set_field(workspace: Workspace, chance: random.Random, task_id: str | None = None) -> list[Body]:
    """A custom field of a task gets a value."""
    task = workspace.tasks[task_id] if task_id else _task(workspace, chance)
    fields = workspace.lists[task.list_id].field_ids if task else []
    if task is None or not fields:
        return []
    field = workspace.fields[chance.choice(fields)]
    text = f"NW-{chance.randint(100, 999)}"
    value = chance.choice(field.options).id if field.options else text
    return workspace.set_custom_field(task.id, field.id, value, by=actor(workspace, chance))


def move(workspace: Workspace, chance: random.Random) -> list[Body]:
    """A task changes its list."""
    task = _task(workspace, chance)
    others = [one for one in workspace.lists if task and one != task.list_id]
    if task is None or task.parent is not None or not others:
        return []
    return workspace.move_task(task.id, chance.choice(others), by=actor(workspace, chance))


def delete_oldest(workspace: Workspace, chance: random.Random) -> list[Body]:
    """A task is deleted: the oldest that is done with, else any."""
    over = next((one for one in workspace.tasks.values() if one.status.kind in ("done", "closed")), None)
    task = over or _task(workspace, chance)
    return workspace.delete_task(task.id) if task else []


def restructure(workspace: Workspace, chance: random.Random) -> list[Body]:
    """A list is made, renamed or deleted; a folder is made, renamed or deleted."""
    kind = chance.randrange(6)
    folders = [one for one in workspace.folders.values() if not one.hidden]
    folder, one = _any(chance, folders), _any(chance, list(workspace.lists.values()))
    name = chance.choice(phrases.LISTS)
    if kind == 0 and len(workspace.lists) < MAX_LISTS:
        parents = [each.id for each in folders] + list(workspace.spaces)
        return workspace.create_list(chance.choice(parents), name)
    if kind in (1, 2) and one:
        return workspace.rename_list(one.id, name, by=actor(workspace, chance))
    if kind == 3 and len(folders) < MAX_FOLDERS:
        return workspace.create_folder(chance.choice(list(workspace.spaces)), f"{name} {len(folders)}")
    if kind == 4 and folder:
        return workspace.rename_folder(folder.id, f"{folder.name.split(' / ')[0]} / {name}")
    return _shrink(workspace, chance)


def reorganise(workspace: Workspace, chance: random.Random) -> list[Body]:
    """The company itself changes: a space is renamed, opened or, when there are many, closed."""
    kind = chance.randrange(4)
    space_id = chance.choice(list(workspace.spaces))
    if kind == 0 and len(workspace.spaces) < MAX_SPACES:
        return workspace.create_space(chance.choice(list(phrases.SPACES)))
    if kind == 1 and len(workspace.spaces) > 3:
        return workspace.delete_space(space_id)
    name = workspace.spaces[space_id].name.split(" / ")[0]
    return workspace.rename_space(space_id, f"{name} / {chance.choice(('2026', 'EU', 'new', '✓'))}")


def goals(workspace: Workspace, chance: random.Random) -> list[Body]:
    """A goal is set, reworded or given up, or one of its targets progresses."""
    goal = _any(chance, list(workspace.goals.values()))
    kind = chance.randrange(5)
    if goal is None or (kind == 0 and len(workspace.goals) < MAX_GOALS):
        return new_goal(workspace, chance)
    if kind == 1 and len(workspace.goals) > 2:
        return workspace.delete_goal(goal.id)
    result = _any(chance, list(goal.key_results.values()))
    if result is None or (kind == 4 and len(goal.key_results) < 3):
        return workspace.create_key_result(goal.id, chance.choice(phrases.KEY_RESULTS), by=actor(workspace, chance))
    if kind == 2 and len(goal.key_results) > 1:
        return workspace.delete_key_result(goal.id, result.id)
    if kind == 3:
        return workspace.update_goal(goal.id, description=chance.choice(phrases.DESCRIPTIONS))
    progress = min(result.current + chance.randint(1, 20), result.end)
    return workspace.update_key_result(goal.id, result.id, current=progress)


def new_goal(workspace: Workspace, chance: random.Random) -> list[Body]:
    """A goal is set with a target."""
    by = actor(workspace, chance)
    told = workspace.create_goal(chance.choice(phrases.GOALS), by=by)
    name = chance.choice(phrases.KEY_RESULTS)
    return [*told, *workspace.create_key_result(told[0]["goal_id"], name, by=by)]


def _shrink(workspace: Workspace, chance: random.Random) -> list[Body]:
    folders = [one.id for one in workspace.folders.values() if not one.hidden]
    if len(folders) > MAX_FOLDERS // 2:
        return workspace.delete_folder(chance.choice(folders))
    if len(workspace.lists) > MAX_LISTS // 2:
        return workspace.delete_list(chance.choice(list(workspace.lists)))
    return []


def _task(workspace: Workspace, chance: random.Random) -> Task | None:
    """Some task, more likely a recent one: people work on what is new."""
    ids = list(workspace.tasks)
    if not ids:
        return None
    return workspace.tasks[ids[int(len(ids) * chance.random() ** 0.5)]]


def _any(chance: random.Random, choices: list[Picked]) -> Picked | None:
    return chance.choice(choices) if choices else None


_MIX: tuple[tuple[int, Step], ...] = (
    (300, advance),
    (130, comment),
    (120, new_task),
    (70, plan),
    (60, describe),
    (50, assign),
    (40, rename),
    (40, set_field),
    (40, new_subtask),
    (30, edit_comment),
    (25, move),
    (25, delete_oldest),
    (20, restructure),
    (8, goals),
    (3, reorganise),
)
WEIGHTS = [weight for weight, _ in _MIX]
STEPS = [step for _, step in _MIX]
