"""The containers of a workspace, listed whole: archived ones, nested folders, folderless and shared lists too.

`archived` is a switch and not an inclusion (observed), so every listing is asked twice. A folder's listing brings its
lists along (observed; the description types them as text), which saves a call where it does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from integrations.clickup import mapping
from integrations.clickup.client import ClickUp
from integrations.clickup.errors import Gone, Rejected, Unavailable
from integrations.clickup.sieve import Sieve
from integrations.clickup.values import identity, items, number, part
from integrations.errands import Options

Raw = Mapping[str, Any]
SWITCH: Final = (False, True)


@dataclass(slots=True)
class Spread:
    """What is known of the lists so far: how many tasks they say they have, and which are out of the usual way.

    Attributes:
        aside: lists that are archived or lie in something archived, or are only shared: asked one by one, because
            it is not documented that a listing of the workspace's tasks goes there.
        places: of a selection, the ids of the containers that are in it.
    """

    tasks: int = 0
    aside: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


async def spaces(client: ClickUp, workspace_id: str, options: Options) -> list[Raw]:
    """All spaces to go through. Raises `Rejected` for one that is asked for and not to be seen."""
    found = [raw for archived in switches(options) for raw in await client.spaces(workspace_id, archived=archived)]
    if not options.spaces and not options.lists:
        return found
    wanted = {*options.spaces, *[await _space_of(client, list_id) for list_id in options.lists]}
    if missing := wanted - {identity(raw.get("id")) for raw in found}:
        raise Rejected(f"there is no space {', '.join(sorted(missing))} that the token sees, among those asked for")
    return [raw for raw in found if identity(raw.get("id")) in wanted]


async def below(client: ClickUp, space: Raw, workspace_id: str, options: Options, spread: Spread) -> Sieve:
    """The space itself, its folders and its lists."""
    space_id = identity(space.get("id")) or ""
    sieve = Sieve(listed=True)
    sieve.take("space", space, partial(mapping.space, workspace_id=workspace_id))
    lists: list[tuple[Raw, bool]] = []
    for archived in switches(options):
        for folder in await _asked(sieve, "space", space, client.folders(space_id, archived=archived)):
            sieve.take("folder", folder, partial(mapping.folder, workspace_id=workspace_id))
            lists += await _of_folder(client, folder, sieve, archived=archived, options=options)
        loose = await _asked(sieve, "space", space, client.folderless_lists(space_id, archived=archived))
        lists += [(raw, archived) for raw in loose]
    away = bool(space.get("archived"))
    wanted = None if not options.lists or space_id in options.spaces else frozenset(options.lists)
    _take_lists(sieve, [(raw, archived or away) for raw, archived in lists], workspace_id, spread, wanted)
    if options.spaces or options.lists:
        refs = [record.ref for record in sieve.records]
        spread.places += [ref.id for ref in refs if wanted is None or ref.type == "list"]
    return sieve


async def shared(client: ClickUp, spaces_: Sequence[Raw], workspace_id: str, options: Options, spread: Spread) -> Sieve:
    """Lists shared with the token's user from spaces it does not see (guests: observed)."""
    sieve = Sieve(listed=True)
    if not options.whole:
        return sieve
    try:
        found = await client.shared(workspace_id)
    except (Gone, Rejected, Unavailable):
        return sieve  # it may not ask; what it misses here is found by its id at the end and not taken for gone
    seen = {identity(space.get("id")) for space in spaces_}
    for listed in items(found.get("lists")):  # they do not say where they lie, so each is asked for
        with suppress(Gone):
            raw = await client.list_(identity(listed.get("id")) or "")
            if identity(part(raw.get("space")).get("id")) not in seen:
                _take_lists(sieve, [(raw, True)], workspace_id, spread)
    return sieve


async def _of_folder(
    client: ClickUp, folder: Raw, sieve: Sieve, *, archived: bool, options: Options
) -> list[tuple[Raw, bool]]:
    folder_id = identity(folder.get("id"))
    if folder_id is None:
        return []
    embedded = folder.get("lists")
    if not archived and isinstance(embedded, list) and all(isinstance(one, dict) for one in embedded):
        found = [(raw, False) for raw in items(embedded)]
    else:
        listed = await _asked(sieve, "folder", folder, client.lists(folder_id, archived=False))
        found = [(raw, archived) for raw in listed]
    if options.archived:
        away = await _asked(sieve, "folder", folder, client.lists(folder_id, archived=True))
        found += [(raw, True) for raw in away]
    return found


async def _asked(sieve: Sieve, type_: str, container: Raw, listing: Awaitable[list[Raw]]) -> list[Raw]:
    """What a container lists. One that went meanwhile, or may not be asked, is noted and holds nothing up.

    What it would have listed is looked for by id at the end of the walk.
    """
    try:
        return await listing
    except (Gone, Rejected) as error:
        sieve.refuse(type_, container, error)
        return []


def _take_lists(
    sieve: Sieve,
    lists: Sequence[tuple[Raw, bool]],
    workspace_id: str,
    spread: Spread,
    wanted: Collection[str] | None = None,
) -> None:
    """Take lists over, all or the wanted; each with whether it is out of the usual way."""
    for raw, away in lists:
        id_ = identity(raw.get("id"))
        if wanted is not None and id_ not in wanted:
            continue
        if sieve.take("list", raw, partial(mapping.list_, workspace_id=workspace_id)) and id_:
            spread.tasks += number(raw.get("task_count")) or 0
            if away or raw.get("archived"):
                spread.aside.append(id_)


async def _space_of(client: ClickUp, list_id: str) -> str:
    with suppress(Gone):
        found = await client.list_(list_id)
        if space_id := identity(part(found.get("space")).get("id")):
            return space_id
    raise Rejected(f"there is no list {list_id} that the token sees")


def switches(options: Options) -> Sequence[bool]:
    """The values of `archived` to ask with."""
    return SWITCH if options.archived else SWITCH[:1]
