"""What ClickUp wants to be told, and what there is to choose from: its settings, a try of them, a workspace's tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from integrations.clickup.client import ClickUp
from integrations.clickup.errors import ClickUpError, RateLimited, TokenRefused, Unavailable
from integrations.clickup.values import identity, items, number, text
from integrations.registry import Choice, Container, Probe
from integrations.settings import Setting

Raw = Mapping[str, Any]

SETTINGS: Final = (
    Setting(
        name="token",
        kind="secret",
        label="API token",
        help="A personal token (pk_…) of an account that sees everything that should be ingested.",
        required=True,
        aliases=("api_token",),
    ),
    Setting(
        name="workspace_id",
        kind="text",
        label="Workspace",
        help="Test the connection to choose from the workspaces the token sees.",
        required=True,
        choices="workspaces",
        id=True,
    ),
    Setting(
        name="spaces",
        kind="list",
        label="Only these spaces",
        help="Nothing chosen = everything. Limits imports, syncs and sweeps.",
        default=[],
        choices="structure",
        id=True,
        aliases=("space_ids",),
    ),
    Setting(
        name="lists",
        kind="list",
        label="Only these lists",
        default=[],
        choices="structure",
        id=True,
        aliases=("list_ids",),
    ),
    Setting(
        name="closed",
        kind="boolean",
        label="Closed tasks",
        help="Also read tasks that are done.",
        default=True,
        aliases=("import_completed_tasks", "include_completed"),
    ),
    Setting(
        name="archived",
        kind="boolean",
        label="Archived",
        help="Also read what is archived.",
        default=True,
        aliases=("include_archived",),
    ),
    Setting(
        name="comments",
        kind="boolean",
        label="Comments",
        help="Also read comments and replies: at least one call a task.",
        default=True,
        aliases=("import_comments",),
    ),
    Setting(name="docs", kind="boolean", label="Docs", help="Also read documents.", default=True),
    Setting(name="goals", kind="boolean", label="Goals", help="Also read goals and key results.", default=True),
)
TOUCHES: Final = (
    "names, descriptions, states, dates and custom fields of tasks",
    "comments and Docs",
    "spaces, folders, lists and goals",
    "names and e-mail addresses of people who are assigned or write",
)
CAPABILITIES: Final = frozenset({"supportsImport", "supportsWebhooks", "supportsIncrementalSync"})


async def probe(client: ClickUp, workspace_id: str) -> Probe:
    """See `Provider.probe`: the token is good, and the workspace is one of those it sees."""
    try:
        user, teams = await client.user(), await client.teams()
    except TokenRefused:
        return Probe(good=False, message="ClickUp does not accept the token; make a new one in ClickUp, Settings, Apps")
    except (Unavailable, RateLimited) as error:
        return Probe(
            good=False,
            message=f"ClickUp is away, so nobody knows yet whether the token is good; try again in a minute ({error})",
        )
    except ClickUpError as error:
        return Probe(good=False, message=f"ClickUp could not be asked: {error}")
    seen = [Choice(id_, text(team.get("name")) or id_) for team in teams if (id_ := identity(team.get("id")))]
    choices = {"workspaces": seen}
    name = text(user.get("username")) or text(user.get("email")) or "a user without a name"
    listed = ", ".join(f"{choice.name} ({choice.id})" for choice in seen) or "none"
    if workspace_id and workspace_id not in {choice.id for choice in seen}:
        message = f"The token of {name} does not see workspace {workspace_id[:40]}; it sees {listed}"
        return Probe(good=False, message=message, choices=choices)
    return Probe(good=True, message=f"Connected as {name}; workspaces: {listed}", choices=choices)


async def structure(client: ClickUp, workspace_id: str) -> list[Container]:
    """See `Provider.structure`: spaces, their folders, and lists with how many tasks they say they have."""
    return [await _space(client, raw) for raw in await client.spaces(workspace_id, archived=False)]


async def _space(client: ClickUp, raw: Raw) -> Container:
    space_id = identity(raw.get("id")) or ""
    folders = [
        await _folder(client, one) for one in await client.folders(space_id, archived=False) if identity(one.get("id"))
    ]
    loose = [_list(one) for one in await client.folderless_lists(space_id, archived=False) if identity(one.get("id"))]
    return _container("space", raw, [*folders, *loose])


async def _folder(client: ClickUp, raw: Raw) -> Container:
    embedded = raw.get("lists")
    if isinstance(embedded, list) and all(isinstance(one, dict) for one in embedded):
        lists: Sequence[Raw] = items(embedded)
    else:
        lists = await client.lists(identity(raw.get("id")) or "", archived=False)
    return _container("folder", raw, [_list(one) for one in lists if identity(one.get("id"))])


def _list(raw: Raw) -> Container:
    return _container("list", raw, [], count=number(raw.get("task_count")))


def _container(type_: str, raw: Raw, inside: Sequence[Container], count: float | None = None) -> Container:
    known = [one.items for one in inside if one.items is not None]
    return Container(
        type=type_,
        id=identity(raw.get("id")) or "",
        name=text(raw.get("name")) or "(no name)",
        items=int(count) if count is not None else sum(known) if known else None,
        archived=bool(raw.get("archived")),
        containers=inside,
    )
