"""What only ClickUp's API v3 tells: docs with their pages, and attachments. A part of `ClickUp`.

Promises: a listing is followed from cursor to cursor to its end, or it raises.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from integrations.clickup.calls import Calls, segment
from integrations.clickup.errors import Endless
from integrations.clickup.listings import MAX_PAGES, Entity, Parameter, rows
from integrations.clickup.values import text

PER_PAGE: Final = 100
"""The most that is allowed, of attachments too (official)."""


class Papers:
    """Docs and attachments. Every method may raise a `ClickUpError`, and what `Turns` raises."""

    calls: Calls

    async def docs(self, team_id: str, *, archived: bool, deleted: bool = False) -> AsyncIterator[list[Entity]]:
        """A workspace's docs page by page, without their pages.

        Raises:
            Endless: a cursor repeats, or they come to no end.
        """
        path = f"/v3/workspaces/{segment(team_id)}/docs"
        async for page in self._pages(path, "docs", archived=archived, deleted=deleted):
            yield page

    async def doc(self, team_id: str, doc_id: str) -> Entity:
        """One doc, without its pages."""
        return await self.calls.get(_doc(team_id, doc_id))

    async def doc_page_listing(self, team_id: str, doc_id: str) -> list[Entity]:
        """The tree of a doc's pages, without what is on them."""
        return await self.calls.rows(f"{_doc(team_id, doc_id)}/page_listing", "pages", max_page_depth=-1)

    async def doc_pages(self, team_id: str, doc_id: str) -> list[Entity]:
        """The tree of a doc's pages, as Markdown, which loses some (official)."""
        path = f"{_doc(team_id, doc_id)}/pages"
        return await self.calls.rows(path, "pages", content_format="text/md", max_page_depth=-1)

    async def doc_page(self, team_id: str, doc_id: str, page_id: str) -> Entity:
        """One page of a doc, as Markdown."""
        path = f"{_doc(team_id, doc_id)}/pages/{segment(page_id)}"
        return await self.calls.get(path, content_format="text/md")

    async def attachments(self, team_id: str, task_id: str) -> list[Entity]:
        """A task's attachments. `attachments` is what v3 calls tasks in the path. Raises as `docs` does."""
        path = f"/v3/workspaces/{segment(team_id)}/attachments/{segment(task_id)}/attachments"
        return [found async for page in self._pages(path, "data") for found in page]

    async def _pages(self, path: str, name: str, **query: Parameter) -> AsyncIterator[list[Entity]]:
        """Page by page; `next_cursor` is left out or empty on the last (official: it need not be there)."""
        cursor: str | None = None
        asked: set[str] = set()
        for _ in range(MAX_PAGES):
            answer = await self.calls.get(path, **query, limit=PER_PAGE, cursor=cursor)
            if page := rows(answer, name):
                yield page
            cursor = text(answer.get("next_cursor"))
            if cursor is None:
                return
            if cursor in asked:
                raise Endless(f"GET {path} goes in a circle: a cursor came again")
            asked.add(cursor)
        raise Endless(f"GET {path} gave {MAX_PAGES} pages and no end")


def _doc(team_id: str, doc_id: str) -> str:
    return f"/v3/workspaces/{segment(team_id)}/docs/{segment(doc_id)}"
