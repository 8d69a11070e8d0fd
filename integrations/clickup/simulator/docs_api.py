"""API v3: docs, their pages, and attachments, under /api/v3/workspaces/{id}.

Parameters, defaults and shapes are the OpenAPI file's of v3. Assumed: docs are listed in the order they were made, an
unknown doc is 404, a limit out of range is 400, `next_cursor` is absent on the last page, an archived page stays in
its doc, a deleted doc can still be read, and attachments come under `data` with a cursor like chat messages.
"""

import base64
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request

from integrations.clickup.simulator import doc_rendering, history, task_queries
from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.gate import Gate, Handler
from integrations.clickup.simulator.papers import Doc, Page
from integrations.clickup.simulator.refusals import RefusalError, found, not_found
from integrations.clickup.simulator.workspace import Workspace

Json = dict[str, Any]

_PARENT_TYPES = {"SPACE": "4", "FOLDER": "5", "LIST": "6", "EVERYTHING": "7", "WORKSPACE": "12"}


class DocsApi:
    """The GET requests of v3; each method answers the route of its name."""

    def __init__(self, workspace: Workspace, gate: Gate, faults: Faults) -> None:
        self._workspace = workspace
        self._gate = gate
        self._faults = faults

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        base = "/v3/workspaces/{workspace_id}"
        return [
            ("GET", f"{base}/docs", self.docs),
            ("GET", base + "/docs/{doc_id}", self.doc),
            ("GET", base + "/docs/{doc_id}/page_listing", self.page_listing),
            ("GET", base + "/docs/{doc_id}/pages", self.pages),
            ("GET", base + "/docs/{doc_id}/pages/{page_id}", self.page),
            ("GET", base + "/{entity_type}/{entity_id}/attachments", self.attachments),
        ]

    async def docs(self, request: Request, _user_id: int) -> Json:
        """A page of the workspace's docs."""
        self._check(request)
        query = request.query_params
        limit = self._limit(request, default=50, least=10)
        after = _position(query.get("cursor") or query.get("next_cursor"))
        chosen = [one for one in self._chosen(request) if one.number > after]
        shown = [doc_rendering.doc(self._workspace, one) for one in chosen[:limit]]
        if self._faults.docs_cursor_loops:
            return {"docs": shown, "next_cursor": query.get("cursor") or _cursor(chosen[:limit])}
        return {"docs": shown} | ({"next_cursor": _cursor(chosen[:limit])} if len(chosen) > limit else {})

    async def doc(self, request: Request, _user_id: int) -> Json:
        """One doc."""
        return doc_rendering.doc(self._workspace, self._doc(request))

    async def page_listing(self, request: Request, _user_id: int) -> list[Json]:
        """The tree of a doc's pages without their texts."""
        depth = task_queries.number(request.query_params, "max_page_depth", -1)
        return doc_rendering.listing(self._workspace, self._doc(request), depth=depth)

    async def pages(self, request: Request, _user_id: int) -> list[Json]:
        """The tree of a doc's pages."""
        depth = task_queries.number(request.query_params, "max_page_depth", -1)
        return doc_rendering.pages(self._workspace, self._doc(request), depth=depth, plain=_plain(request))

    async def page(self, request: Request, _user_id: int) -> Json:
        """One page."""
        one: Page | None = self._doc(request).pages.get(request.path_params["page_id"])
        if one is None or one.deleted:
            raise not_found("Page")
        return doc_rendering.page(self._workspace, one, plain=_plain(request))

    async def attachments(self, request: Request, _user_id: int) -> Json:
        """The files of a task, whose entity type is `attachments` (official)."""
        self._check(request)
        if request.path_params["entity_type"] != "attachments":
            return {"data": []}
        task = found(self._workspace.tasks, request.path_params["entity_id"])
        limit = self._limit(request, default=50, least=1)
        after = _position(request.query_params.get("cursor"))
        rows = [
            doc_rendering.attachment(
                one,
                task.id,
                team_id=self._workspace.team_id,
                user=history.user_json(self._workspace.members[one.user]),
            )
            for one in task.attachments[after : after + limit]
        ]
        more = after + limit < len(task.attachments)
        return {"data": rows} | ({"next_cursor": _encoded(after + limit)} if more else {})

    def _check(self, request: Request) -> None:
        self._gate.check_team(request.path_params["workspace_id"])

    def _doc(self, request: Request) -> Doc:
        self._check(request)
        one = self._workspace.docs.get(request.path_params["doc_id"])
        if one is None:
            raise not_found("Doc")
        return one

    def _chosen(self, request: Request) -> Iterator[Doc]:
        query = request.query_params
        deleted, archived = task_queries.switch(query, "deleted"), task_queries.switch(query, "archived")
        kind = query.get("parent_type")
        kind = _PARENT_TYPES.get(kind, kind) if kind else None
        for one in self._workspace.docs.values():
            wanted = (
                one.deleted == deleted
                and one.archived == archived
                and query.get("id") in (None, one.id)
                and query.get("creator") in (None, str(one.creator))
                and query.get("parent_id") in (None, one.parent_id)
                and kind in (None, str(one.parent_type))
            )
            if wanted and self._gate.visible(one.id, one.parent_id):
                yield one

    def _limit(self, request: Request, *, default: int, least: int) -> int:
        limit = task_queries.number(request.query_params, "limit", default)
        if not least <= limit <= 100:
            raise RefusalError(400, f"limit must be from {least} to 100", "INPUT_003")
        return limit


def _plain(request: Request) -> bool:
    wanted = request.query_params.get("content_format") or "text/md"
    if wanted not in ("text/md", "text/plain"):
        raise RefusalError(400, "content_format must be text/md or text/plain", "INPUT_003")
    return wanted == "text/plain"


def _cursor(page: list[Doc]) -> str:
    return _encoded(page[-1].number if page else 0)


def _encoded(position: int) -> str:
    return base64.urlsafe_b64encode(f"after:{position}".encode()).decode()


def _position(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor).decode().removeprefix("after:"))
    except ValueError:
        raise RefusalError(400, "Invalid cursor", "INPUT_003") from None
