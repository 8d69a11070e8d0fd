"""Docs and pages as API v3 writes them: dates and people are numbers, absent what is not set (OpenAPI file of v3)."""

import re
from typing import Any

from integrations.clickup.simulator.papers import Attachment, Doc, Page
from integrations.clickup.simulator.workspace import Workspace

Json = dict[str, Any]

_MARKUP = re.compile(r"(^#+ )|(\*\*)|(`)|(^> )", re.MULTILINE)


def doc(workspace: Workspace, one: Doc) -> Json:
    """A doc without its pages."""
    shown: Json = {
        "id": one.id,
        "date_created": one.created,
        "date_updated": one.updated,
        "name": one.name,
        "type": 1,
        "parent": {"id": one.parent_id, "type": one.parent_type},
        "public": False,
        "workspace_id": int(workspace.team_id),
        "creator": one.creator,
        "deleted": one.deleted,
        "archived": one.archived,
    }
    if one.deleted:
        shown |= {"date_deleted": one.updated, "deleted_by": one.creator}
    if one.archived:
        shown |= {"date_archived": one.updated, "archived_by": one.creator}
    return shown


def listing(workspace: Workspace, one: Doc, *, depth: int) -> list[Json]:
    """The tree of a doc's pages without their texts; `depth` below 0 is all of it."""
    return _tree(one, None, depth, lambda page: _stub(workspace, page))


def pages(workspace: Workspace, one: Doc, *, depth: int, plain: bool) -> list[Json]:
    """The tree of a doc's pages with their texts."""
    return _tree(one, None, depth, lambda each: page(workspace, each, plain=plain))


def page(workspace: Workspace, one: Page, *, plain: bool) -> Json:
    """A page with its text, without the pages below it."""
    shown = _stub(workspace, one) | {
        "date_created": one.created,
        "date_updated": one.updated,
        "content": _MARKUP.sub("", one.content) if plain else one.content,
        "creator_id": one.creator,
        "deleted": one.deleted,
        "archived": one.archived,
        "authors": [one.creator],
        "contributors": [one.creator] if one.edited_by in (None, one.creator) else [one.creator, one.edited_by],
        "protected": False,
    }
    if one.edited is not None:
        shown |= {"date_edited": one.edited, "edited_by": one.edited_by}
    return shown


def attachment(one: Attachment, parent_id: str, *, team_id: str, user: Json) -> Json:
    """A file of a task: `date` is a number where nearly all others are strings (OpenAPI example)."""
    url = f"https://t{team_id}.p.clickup-attachments.example.com/t{team_id}/{one.id.split('.')[0]}/{one.title}"
    return {
        "id": one.id,
        "date": one.date,
        "title": one.title,
        "type": 1,
        "source": 1,
        "version": 0,
        "extension": one.extension,
        "thumbnail_small": None,
        "thumbnail_medium": None,
        "thumbnail_large": None,
        "is_folder": None,
        "mimetype": one.mimetype,
        "hidden": False,
        "parent_id": parent_id,
        "size": one.size,
        "total_comments": 0,
        "resolved_comments": 0,
        "user": user,
        "deleted": False,
        "orientation": None,
        "url": url,
        "email_data": None,
        "url_w_query": f"{url}?view=open",
        "url_w_host": url,
    }


def _stub(workspace: Workspace, one: Page) -> Json:
    parent = {} if one.parent_id is None else {"parent_page_id": one.parent_id}
    return {
        "id": one.id,
        "doc_id": one.doc_id,
        **parent,
        "workspace_id": int(workspace.team_id),
        "name": one.name,
    }


def _tree(one: Doc, parent_id: str | None, depth: int, shown: Any) -> list[Json]:
    """The living pages below a page; a `pages` of their own have only those with some (assumed)."""
    rows = []
    for each in one.pages.values():
        if each.parent_id == parent_id and not each.deleted:
            below = _tree(one, each.id, depth - 1, shown) if depth != 0 else []
            rows.append(shown(each) | ({"pages": below} if below else {}))
    return rows
