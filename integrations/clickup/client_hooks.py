"""Webhooks over ClickUp's API: listed, made, changed, deleted. A part of `ClickUp`.

Promises: what is sent is what the OpenAPI file asks for; a hook is not made twice by a retry. The secret of a hook is
in the answers (official schema for all of them, for the create answer in the docs too): it belongs in no log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrations.clickup.calls import Calls, segment
from integrations.clickup.errors import Unavailable
from integrations.clickup.listings import Entity, entity
from integrations.clickup.values import text


class Hooks:
    """Webhooks. Every method may raise a `ClickUpError`, and what `Turns` raises."""

    calls: Calls

    async def webhooks(self, team_id: str) -> list[Entity]:
        """The hooks this token's user made in a workspace; others' are not told (official)."""
        return await self.calls.rows(f"/v2/team/{segment(team_id)}/webhook", "webhooks")

    async def create_webhook(
        self,
        team_id: str,
        *,
        endpoint: str,
        events: Sequence[str],
        space_id: str | None = None,
        folder_id: str | None = None,
        list_id: str | None = None,
        task_id: str | None = None,
    ) -> Entity:
        """Make a hook for a workspace or for the most specific place given (official), and return it with its secret.

        `["*"]` asks for all events, those to come too.

        Raises:
            AlreadyRegistered: there is one for this endpoint and place.
            Unavailable: no proper answer. The hook may be there all the same: list them before making another.
        """
        places = {"space_id": space_id, "folder_id": folder_id, "list_id": list_id}
        body: dict[str, Any] = {"endpoint": endpoint, "events": list(events)}
        body |= {name: _number(id_) for name, id_ in places.items() if id_ is not None}
        if task_id is not None:
            body["task_id"] = task_id
        answer = await self.calls.object("POST", f"/v2/team/{segment(team_id)}/webhook", body=body)
        hook = {"id": answer.get("id"), **entity(answer, "webhook")}
        if text(hook["id"]) is None:
            raise Unavailable("ClickUp answered without a webhook")
        return hook

    async def update_webhook(
        self, webhook_id: str, *, endpoint: str, events: Sequence[str], status: str = "active"
    ) -> Entity:
        """Change a hook, revive it if it was suspended, and return what ClickUp says of it then, if it says anything.

        All three are required (official). The schema has `events` as a text, its description as an array or the
        wildcard `"*"`: so a list is sent, and `["*"]` as the text.
        """
        wanted = "*" if list(events) == ["*"] else list(events)
        body = {"endpoint": endpoint, "events": wanted, "status": status}
        return entity(await self.calls.object("PUT", f"/v2/webhook/{segment(webhook_id)}", body=body), "webhook")

    async def delete_webhook(self, webhook_id: str) -> None:
        """Delete a hook.

        Raises:
            Gone: it is not there, or not this user's; also where an earlier try deleted it and the answer was lost.
        """
        await self.calls.json("DELETE", f"/v2/webhook/{segment(webhook_id)}")


def _number(id_: str) -> int | str:
    """These ids are integers in the request (official)."""
    return int(id_) if id_.isdecimal() else id_
