"""ClickUp's REST API as one token sees it: everything an import, a sync and the following of webhooks need.

Promises: every call is made as `calls.py` says, in turn, in time, and again where that is safe; every failure has a
name of `errors.py`; a listing is all there is, page for page, or it raises: what it leaves out would be taken for
deleted. What is no object in a listing is left out. Paths and shapes are ClickUp's OpenAPI files v2 and v3
(official); what is not is said where it is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from integrations.budget import Turns
from integrations.clickup.calls import ATTEMPTS, CALL_SECONDS, Calls, Query, Request, is_token, segment
from integrations.clickup.client_hooks import Hooks
from integrations.clickup.client_v3 import Papers
from integrations.clickup.errors import Endless, Gone, Rejected, TokenRefused, Unavailable
from integrations.clickup.listings import MAX_PAGES, Entity, Parameter, after, entity, listing, rows
from integrations.clickup.values import items, text

CONNECT_SECONDS: Final = 3.0
TASKS_PER_PAGE: Final = 100
COMMENTS_PER_PAGE: Final = 25
MAX_COMMENT_PAGES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """One page of tasks.

    Attributes:
        tasks: those that are objects.
        last: there is no page after this one. `last_page` decides where it is there, else the length does (observed).
    """

    tasks: list[Entity]
    last: bool


def transport(make: Callable[..., httpx.AsyncClient] = httpx.AsyncClient) -> httpx.AsyncClient:
    """A connection pool for `ClickUp`; one serves all tokens, so it keeps no cookies."""
    return make(
        timeout=httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS),
        # kept alive as many as there are: with fewer, the pool closes after each call what is above that, idle or not
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=32),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
    )


async def exchange_code(http: httpx.AsyncClient, *, url: str, client_id: str, client_secret: str, code: str) -> str:
    """The access token for an OAuth code. It does not expire and nothing refreshes it (official, may change).

    Asked for once: a code is good for one use. No token, no budget: this call has no turn.

    Raises:
        integrations.clickup.errors.Rejected: the code, or the app's id and secret, are refused; authorize anew.
        integrations.clickup.errors.ClickUpError: any other failure, by name.
    """
    request = Request(
        "POST", "/v2/oauth/token", body={"client_id": client_id, "client_secret": client_secret, "code": code}
    )
    try:
        answer = request.result(await request.send(http, url, {}), secrets=(client_secret, code))
    except (Gone, TokenRefused) as error:
        raise Rejected("ClickUp refused the code, or the app's id and secret; authorize anew") from error
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if isinstance(token, str) and is_token(token):
        return token
    raise Unavailable(f"{request} answered without an access token")


class ClickUp(Papers, Hooks):
    """The API as one token sees it. Every method may raise a `ClickUpError`, and what `Turns` raises."""

    def __init__(
        self, http: httpx.AsyncClient, *, url: str, token: str, turns: Turns, attempts: int = ATTEMPTS
    ) -> None:
        self.calls = Calls(http, url=url, token=token, turns=turns, attempts=attempts)

    @property
    def count(self) -> int:
        """Calls made, every try of them."""
        return self.calls.count

    @property
    def said_at(self) -> datetime | None:
        """What ClickUp's clock said in its latest answer."""
        return self.calls.said_at

    async def user(self) -> Entity:
        """The token's user."""
        return entity(await self.calls.get("/v2/user"), "user")

    async def prove_token(self) -> None:
        """Return if the token is good. Raises `TokenRefused`, or whatever kept us from knowing."""
        try:
            await self.user()
        except Gone as error:
            raise TokenRefused(f"ClickUp refused the token: {error}") from error

    async def teams(self) -> list[Entity]:
        """The workspaces the token may see, with their members."""
        return await self.calls.rows("/v2/team", "teams")

    async def spaces(self, team_id: str, *, archived: bool) -> list[Entity]:
        """A workspace's spaces: only the archived ones, or only the others (observed, of all four listings)."""
        return await self.calls.rows(f"/v2/team/{segment(team_id)}/space", "spaces", archived=archived)

    async def folders(self, space_id: str, *, archived: bool) -> list[Entity]:
        """A space's folders, nested ones too, with their lists in them (observed)."""
        return await self.calls.rows(f"/v2/space/{segment(space_id)}/folder", "folders", archived=archived)

    async def lists(self, folder_id: str, *, archived: bool) -> list[Entity]:
        """A folder's lists."""
        return await self.calls.rows(f"/v2/folder/{segment(folder_id)}/list", "lists", archived=archived)

    async def folderless_lists(self, space_id: str, *, archived: bool) -> list[Entity]:
        """A space's lists that are in no folder; no other listing has them."""
        return await self.calls.rows(f"/v2/space/{segment(space_id)}/list", "lists", archived=archived)

    async def shared(self, team_id: str) -> Mapping[str, list[Entity]]:
        """The `tasks`, `lists` and `folders` shared with the user, whose containers it may not see."""
        found = entity(await self.calls.get(f"/v2/team/{segment(team_id)}/shared"), "shared")
        kinds = ("tasks", "lists", "folders")
        if not any(kind in found for kind in kinds):
            raise Unavailable("ClickUp answered without a listing of what is shared")
        return {kind: items(found.get(kind)) for kind in kinds}

    async def space(self, space_id: str) -> Entity:
        """One space."""
        return await self.calls.get(f"/v2/space/{segment(space_id)}")

    async def folder(self, folder_id: str) -> Entity:
        """One folder."""
        return await self.calls.get(f"/v2/folder/{segment(folder_id)}")

    async def list_(self, list_id: str) -> Entity:
        """One list."""
        return await self.calls.get(f"/v2/list/{segment(list_id)}")

    async def task(self, task_id: str) -> Entity:
        """One task, its description in Markdown too."""
        return await self.calls.get(f"/v2/task/{segment(task_id)}", include_markdown_description=True)

    async def team_tasks(self, team_id: str, **query: Parameter) -> TaskPage:
        """A page of a workspace's tasks; `page` is counted from 0. What is not asked for is hidden: subtasks, closed.

        `archived` and `include_timl` work here too (observed). See `parameters` for how values are written.
        """
        return await self._task_page(f"/v2/team/{segment(team_id)}/task", query)

    async def list_tasks(self, list_id: str, **query: Parameter) -> TaskPage:
        """A page of a list's tasks, as `team_tasks`; those at home elsewhere only with `include_timl`."""
        return await self._task_page(f"/v2/list/{segment(list_id)}/task", query)

    async def comments(self, task_id: str, *, wanted: set[str]) -> list[Entity]:
        """A task's comments, newest first, until all the wanted ones came or there are no more, 500 at most.

        A page has 25; the next one needs both `start` and `start_id` of the last comment seen (official).
        """
        found: list[Entity] = []
        missing = set(wanted)
        path = f"/v2/task/{segment(task_id)}/comment"
        query: Query = ()
        for _ in range(MAX_COMMENT_PAGES):
            listed = (await self.calls.object("GET", path, query=query)).get("comments")
            page = items(listed)
            found += page
            missing -= {str(comment.get("id")) for comment in page}
            further = after(page)
            if not missing or not isinstance(listed, list) or len(listed) < COMMENTS_PER_PAGE or further is None:
                break
            query = further
        return found

    async def all_comments(self, task_id: str) -> AsyncIterator[list[Entity]]:
        """All of a task's comments page by page, newest first, each once; replies are not among them (official).

        How the pages end if the last one is full is not documented: a page that brings nothing new ends them too.

        Raises:
            Endless: they come to no end.
        """
        path = f"/v2/task/{segment(task_id)}/comment"
        query: Query = ()
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            listed = listing(await self.calls.json("GET", path, query=query), "comments")
            page = {id_: one for one in items(listed) if (id_ := text(one.get("id"))) and id_ not in seen}
            if page:
                yield list(page.values())
            further = after(items(listed))
            if not page or len(listed) < COMMENTS_PER_PAGE or further is None:
                return
            seen |= page.keys()
            query = further
        raise Endless(f"GET {path} gave {MAX_PAGES} pages and no end")

    async def replies(self, comment_id: str) -> list[Entity]:
        """The replies in a comment's thread, without the comment itself. No paging is documented."""
        return await self.calls.rows(f"/v2/comment/{segment(comment_id)}/reply", "comments")

    async def task_time(self, task_id: str) -> list[Entity]:
        """The time tracked on a task, by user, each with intervals (the legacy endpoint)."""
        return await self.calls.rows(f"/v2/task/{segment(task_id)}/time", "data")

    async def time_entries(
        self, team_id: str, *, start: datetime, end: datetime, assignees: Collection[str] = ()
    ) -> list[Entity]:
        """The time entries between two moments, of the token's own user if no assignees are given.

        Others' are for owners and admins only. Without both dates ClickUp would give 30 days; no paging is documented.
        """
        whose = ",".join(assignees) or None
        path = f"/v2/team/{segment(team_id)}/time_entries"
        return await self.calls.rows(path, "data", start_date=start, end_date=end, assignee=whose)

    async def fields(self, list_id: str) -> list[Entity]:
        """The custom fields one may use in a list, those of its folder, space and workspace too."""
        return await self.calls.rows(f"/v2/list/{segment(list_id)}/field", "fields")

    async def team_fields(self, team_id: str) -> list[Entity]:
        """The custom fields made at the workspace itself."""
        return await self.calls.rows(f"/v2/team/{segment(team_id)}/field", "fields")

    async def members(self, list_id: str) -> list[Entity]:
        """Who has explicit access to a list; whoever inherits it is not among them."""
        return await self.calls.rows(f"/v2/list/{segment(list_id)}/member", "members")

    async def task_members(self, task_id: str) -> list[Entity]:
        """Who has explicit access to a task; whoever inherits it is not among them."""
        return await self.calls.rows(f"/v2/task/{segment(task_id)}/member", "members")

    async def task_types(self, team_id: str) -> list[Entity]:
        """The workspace's own kinds of tasks. The schema is an object, the example an array of them: both are read."""
        answer = await self.calls.json("GET", f"/v2/team/{segment(team_id)}/custom_item")
        answers = [answer] if isinstance(answer, dict) else items(answer)
        return [found for one in answers for found in rows(one, "custom_items")]

    async def tags(self, space_id: str) -> list[Entity]:
        """A space's tags; their names are their ids."""
        return await self.calls.rows(f"/v2/space/{segment(space_id)}/tag", "tags")

    async def goals(self, team_id: str) -> list[Entity]:
        """A workspace's goals, reached ones too, those in folders too, each once and without its key results."""
        answer = await self.calls.get(f"/v2/team/{segment(team_id)}/goal", include_completed=True)
        listed = rows(answer, "goals")
        for folder in items(answer.get("folders")):
            listed += items(folder.get("goals"))
        return list({id_: goal for goal in listed if (id_ := text(goal.get("id")))}.values())

    async def goal(self, goal_id: str) -> Entity:
        """One goal with its key results."""
        return entity(await self.calls.get(f"/v2/goal/{segment(goal_id)}"), "goal")

    async def _task_page(self, path: str, query: Mapping[str, Parameter]) -> TaskPage:
        answer = await self.calls.get(path, **query)
        listed, last = listing(answer, "tasks"), answer.get("last_page")
        if not isinstance(last, bool):
            last = len(listed) < TASKS_PER_PAGE
        return TaskPage(tasks=items(listed), last=last or not listed)
