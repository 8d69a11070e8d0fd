"""ClickUp's Docs (API v3) as records: one document in Markdown, its pages joined. Pure; see `mapping.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from integrations.clickup.mapping import APP, present, ref_of
from integrations.clickup.values import identity, iso, items, moment, number, part, text
from schema.records import Edge, Record, Ref

PARENTS: Final[Mapping[int, str]] = {4: "space", 5: "folder", 6: "list", 7: "workspace", 12: "workspace"}
"""What a Doc's parent type says it lies in (API v3: 4 space, 5 folder, 6 list, 7 everything, 12 workspace)."""
DEEPEST_HEADING: Final = 6


def doc(raw: Mapping[str, Any], pages: Sequence[Mapping[str, Any]], *, workspace_id: str) -> Record:
    """A Doc of the v3 listing with the pages of GET /docs/{id}/pages (Markdown, nested).

    Its version is its own date alone: whether a page's edit moves that is not documented, and a page's date would go
    back when the page does, which looks like an older look. Of equal versions the later look wins, so nothing is lost.
    """
    ref = ref_of("doc", raw)
    every = list(_flat(pages))
    edits = [when for _, page in every for name in ("date_updated", "date_edited") if (when := number(page.get(name)))]
    parent = _parent(raw, workspace_id)
    return Record(
        ref=ref,
        parent=parent,
        title=text(raw.get("name")),
        body="\n\n".join(section for level, page in every for section in _section(level, page)) or None,
        url=f"{APP}/{workspace_id}/v/dc/{ref.id}",
        updated_at=updated_at(raw),
        properties=present(
            archived=raw.get("archived"),
            public=raw.get("public"),
            creator_id=identity(raw.get("creator")),
            date_created=iso(raw.get("date_created")),
            date_edited=iso(max(edits, default=None)),
            pages=[id_ for _, page in every if (id_ := identity(page.get("id")))],
        ),
        edges=(Edge("parent_of", parent, ref),),
    )


def updated_at(raw: Mapping[str, Any]) -> datetime | None:
    """When a Doc changed, as its listing says."""
    return moment(raw.get("date_updated"))


def _parent(raw: Mapping[str, Any], workspace_id: str) -> Ref:
    """Its container, or the workspace where that is none we know (a task, a user)."""
    parent = part(raw.get("parent"))
    kind, id_ = PARENTS.get(number(parent.get("type")) or 0), identity(parent.get("id"))
    return Ref(kind, id_) if kind and id_ and kind != "workspace" else Ref("workspace", workspace_id)


def _flat(pages: Sequence[Mapping[str, Any]], level: int = 1) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The pages in reading order with their depth; what is nested deeper than JSON may be is not reached."""
    for page in pages:
        yield level, page
        yield from _flat(items(page.get("pages")), level + 1)


def _section(level: int, page: Mapping[str, Any]) -> Iterator[str]:
    """A page without an id is the Doc's own cover, not a page of it (seen in an earlier system)."""
    if identity(page.get("id")) is None:
        return
    if title := text(page.get("name")):
        yield f"{'#' * min(level, DEEPEST_HEADING)} {title}"
    if content := text(page.get("content")):
        yield content.strip()
