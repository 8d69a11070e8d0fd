"""What hangs on tasks and workspaces and is asked for thing by thing: comments with replies, Docs, goals.

Promises: several are asked at a time and come back in order; one that cannot be read is noted and holds nothing, but
several in a row mean that ClickUp cannot be read now, which is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from integrations.clickup import docs, goals, mapping
from integrations.clickup.client import ClickUp
from integrations.clickup.errors import Gone, Rejected, Unavailable
from integrations.clickup.sieve import Sieve
from integrations.clickup.values import identity, number
from schema.records import Ref

CONCURRENT: Final = 8
IN_A_ROW: Final = 3

Raw = Mapping[str, Any]
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Contents:
    """Reads them for one workspace."""

    client: ClickUp
    workspace_id: str
    failed_in_a_row: int = 0

    async def comments(self, task_ids: Sequence[str], sieve: Sieve) -> list[tuple[Ref, str]]:
        """Take over all comments of these tasks; the tasks that had none left out, as `Page.complete` wants them."""
        complete: list[tuple[Ref, str]] = []
        for task_id, found in await self._each(task_ids, self._thread):
            if not self._came(sieve, "comments", task_id, found):
                continue
            whole = [
                sieve.take("comment", raw, partial(mapping.comment, task_id=task_id, reply_to=above))
                for raw, above in found
            ]
            if all(whole):
                complete.append((Ref("task", task_id), "comment"))
        return complete

    async def _thread(self, task_id: str) -> list[tuple[Raw, str | None]]:
        """All comments of a task, each with the comment it replies to."""
        found: list[tuple[Raw, str | None]] = []
        async for page in self.client.all_comments(task_id):
            for raw in page:
                found.append((raw, None))
                id_ = identity(raw.get("id"))
                if id_ and number(raw.get("reply_count")):
                    found += [(reply, id_) for reply in await self.client.replies(id_)]
        return found

    async def docs(self, listed: Sequence[Raw], sieve: Sieve) -> None:
        """Take over these Docs with all their pages."""
        known = {id_: raw for raw in listed if (id_ := identity(raw.get("id")))}
        read = partial(self.client.doc_pages, self.workspace_id)
        for id_, pages in await self._each(list(known), read):
            if self._came(sieve, "doc", id_, pages):
                sieve.take("doc", known[id_], partial(docs.doc, pages=pages, workspace_id=self.workspace_id))

    async def goals(self, sieve: Sieve) -> None:
        """Take over all goals with their key results, which the listing does not show."""
        listed = [id_ for raw in await self.client.goals(self.workspace_id) if (id_ := identity(raw.get("id")))]
        for id_, raw in await self._each(listed, self.client.goal):
            if self._came(sieve, "goal", id_, raw):
                sieve.take_all("goal", raw, partial(goals.goal, workspace_id=self.workspace_id))

    async def _each(
        self, asked: Sequence[Asked], read: Callable[[Asked], Awaitable[Answer]]
    ) -> list[tuple[Asked, Any]]:
        """What came for each, or why it did not; any other error as itself, once all the others have ended."""
        turn = asyncio.Semaphore(CONCURRENT)

        async def one(what: Asked) -> tuple[Asked, Any]:
            async with turn:
                try:
                    return what, await read(what)
                except (Gone, Rejected, Unavailable) as error:
                    return what, error

        tasks = [asyncio.create_task(one(what)) for what in asked]
        try:
            return list(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def _came(self, sieve: Sieve, type_: str, id_: str, found: object) -> bool:
        if not isinstance(found, Exception):
            self.failed_in_a_row = 0
            return True
        if isinstance(found, Rejected):  # this one is not to be had; that says nothing of the next
            sieve.refuse(type_, {"id": id_}, found)
        elif not isinstance(found, Gone):  # what is gone since it was listed, the end of the walk finds out
            self.failed_in_a_row += 1
            if self.failed_in_a_row >= IN_A_ROW:
                raise found
            sieve.unread(type_, id_, found)
        return False
