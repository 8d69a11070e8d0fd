"""Stories for the workspace: a company that already exists, and its people editing from then on.

`populate` fills a workspace, `next_step` makes one believable edit, `tell` makes edits at a steady rate. All return
or deliver the webhook bodies. The workspace's size stays bounded: past `max_tasks` closed work is deleted. The same
workspace seed, clock and generator tell the same story.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count

from integrations.clickup.simulator import phrases, steps
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.workspace import Workspace

MAX_TASKS = 400
_TRIES = 20


def populate(
    workspace: Workspace,
    *,
    spaces: int = 2,
    folders_per_space: int = 2,
    lists_per_folder: int = 2,
    tasks_per_list: int = 6,
    comments_per_task: int = 1,
) -> list[Body]:
    """Make a company: per space folders with lists and one folderless list, tasks in all of them, and goals.

    A third of the tasks gets a subtask, tags, a checklist or a priority; two lists have custom fields, one list has
    a workflow of its own. `comments_per_task` is the most a task gets, beside replies.
    """
    chance = workspace.random_for("populate")
    told: list[Body] = []
    names = list(phrases.SPACES)
    for at in range(spaces):
        name = names[at % len(names)]
        made = workspace.create_space(_numbered(name, at // len(names)))
        told += made
        space_id = made[0]["space_id"]
        lists = [made[1]["list_id"]]
        told += workspace.rename_list(lists[0], "Inbox")
        topics = phrases.SPACES[name]
        for nth in range(folders_per_space):
            folder = workspace.create_folder(space_id, _numbered(topics[nth % len(topics)], nth // len(topics)))
            told += folder
            for each in range(lists_per_folder):
                title = _numbered(phrases.LISTS[each % len(phrases.LISTS)], each // len(phrases.LISTS))
                made = workspace.create_list(folder[0]["folder_id"], title)
                told += made
                lists.append(made[0]["list_id"])
        _fields(workspace, lists[-1])
        for list_id in lists:
            for _ in range(tasks_per_list):
                told += _task(workspace, chance, list_id, comments_per_task)
    told += steps.new_goal(workspace, chance)
    return told


def next_step(workspace: Workspace, chance: random.Random, *, max_tasks: int = MAX_TASKS) -> list[Body]:
    """One edit by somebody: mostly statuses, texts, comments and new tasks, now and then structure and goals.

    Raises:
        ValueError: the workspace has no space yet; populate it first.
    """
    if not workspace.lists:
        if not workspace.spaces:
            raise ValueError("the workspace is empty; call populate first")
        return workspace.create_list(next(iter(workspace.spaces)), "Inbox")
    if len(workspace.tasks) > max_tasks:
        return steps.delete_oldest(workspace, chance)
    for _ in range(_TRIES):
        step = chance.choices(steps.STEPS, steps.WEIGHTS)[0]
        if told := step(workspace, chance):
            return told
    return steps.new_task(workspace, chance)


async def tell(
    workspace: Workspace,
    deliver: Callable[[list[Body]], Awaitable[None]],
    *,
    rate_per_second: float,
    stop: asyncio.Event,
    chance: random.Random,
    max_tasks: int = MAX_TASKS,
    changes: int | None = None,
) -> None:
    """Make edits at this rate and deliver them until `stop` is set or so many `changes` were made.

    What delivering delays is not caught up.
    """
    loop = asyncio.get_running_loop()
    due = loop.time()
    for _ in count() if changes is None else range(changes):
        if stop.is_set():
            return
        await deliver(next_step(workspace, chance, max_tasks=max_tasks))
        due = max(due + 1 / rate_per_second, loop.time() - 1)
        try:
            async with asyncio.timeout_at(due):
                await stop.wait()
        except TimeoutError:
            continue


def _numbered(name: str, round_: int) -> str:
    return name if round_ == 0 else f"{name} {round_ + 1}"


def _fields(workspace: Workspace, list_id: str) -> None:
    workspace.add_field(list_id, "Audience", "drop_down", options=phrases.AUDIENCES)
    workspace.add_field(list_id, "Effort", "drop_down", options=phrases.EFFORTS)
    workspace.add_field(list_id, "Ticket", "short_text")


def _task(workspace: Workspace, chance: random.Random, list_id: str, comments: int) -> list[Body]:
    told = steps.new_task(workspace, chance, list_id)
    task_id: str = told[0]["task_id"]
    actor = steps.actor(workspace, chance)
    extra = chance.randrange(6)
    if extra == 0:
        told += workspace.create_task(list_id, steps.title(chance), parent=task_id, by=actor)
    elif extra == 1:
        told += workspace.add_tag(task_id, chance.choice(phrases.TAGS), by=actor)
    elif extra == 2:
        told += workspace.add_checklist(task_id, "Before we start", phrases.CHECKLIST, by=actor)
    elif extra == 3:
        told += steps.set_field(workspace, chance, task_id)
    for _ in range(chance.randint(0, comments)):
        told += workspace.post_comment(task_id, chance.choice(phrases.REMARKS), by=actor)
    if chance.random() < 0.4:
        told += steps.advance(workspace, chance, task_id)
    return told
