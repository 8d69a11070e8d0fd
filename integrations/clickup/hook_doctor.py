"""The webhook doctor: look at the hooks ClickUp lists, see what they need (`hook_diagnosis`), and do it.

Facts (ClickUp docs, webhooks and webhook health, official): a list shows only hooks of the calling user; a hook of a
disabled user stays and stops firing; an event that failed five times is lost for good and counts in `fail_count`; a
hundred of them, or one answer of 401 or 410, suspend the hook, and what happens meanwhile is lost; nobody is told.
A second hook for the same endpoint is refused with OAUTH_171, so registration lists first and reconciles.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from integrations.access import Access
from integrations.clickup.client import ClickUp
from integrations.clickup.errors import AlreadyRegistered, ClickUpError, Gone, Rejected, TokenRefused
from integrations.clickup.hook_diagnosis import ALL, CHOICES, Plan, diagnose, events_for, forms
from integrations.clickup.values import identity, number, part, text
from integrations.hooks import Deed, Hook, Tended, Tending
from integrations.registry import Impossible, NotNow

NOT_TOLD: Final = "ClickUp gave the new hook no secret, so it was removed again; try `webhook repair` later"


def read(raw: Mapping[str, Any]) -> Hook:
    """A hook as the API gives it."""
    health = part(raw.get("health"))
    events = raw.get("events")
    return Hook(
        id=text(raw.get("id")) or "",
        endpoint=text(raw.get("endpoint")) or "",
        events=tuple(map(str, events)) if isinstance(events, list) else (str(events),) if events else (),
        status=text(health.get("status")) or "unknown",
        fail_count=number(health.get("fail_count")) or 0,
        secret=text(raw.get("secret")),
        owner=identity(raw.get("userid")),
        scoped=any(raw.get(level) for level in ("space_id", "folder_id", "list_id", "task_id")),
    )


async def tend(tending: Tending, access: Access) -> Tended:
    """See `Provider.tend`."""
    client = ClickUp(access.http, url=access.url, token=str(access.settings.get("token") or ""), turns=access.turns)
    workspace_id = str(access.settings.get("workspace_id") or "")
    if tending.events is None and (choice := access.settings.get("webhook_events")):
        tending = replace(tending, events=CHOICES.get(str(choice)))
    try:
        hooks = await _listed(client, workspace_id)
        plan = diagnose(hooks, tending)
        if tending.act:
            return await _Round(client, workspace_id, tending).do(plan)
    except TokenRefused as error:
        raise Impossible(
            f"{error}; a hook whose owner is gone stays silent: connect with another user's token"
        ) from error
    except ClickUpError as error:
        raise NotNow(f"{type(error).__name__}: {error}") from error
    needs = [*plan.why, *(["duplicates removed"] if plan.keep and plan.remove and not plan.create else [])]
    why = f"it needs to be {' and '.join(needs)}: {plan.blind or 'see `webhook repair`'}" if needs else None
    return Tended(hook=plan.keep, blind=plan.blind, problem=plan.problem or why)


async def _listed(client: ClickUp, workspace_id: str) -> list[Hook]:
    try:
        return [read(raw) for raw in await client.webhooks(workspace_id)]
    except Gone as error:
        await client.prove_token()
        raise Impossible(f"workspace {workspace_id} is not visible to this token: {error}") from error


@dataclass(slots=True)
class _Round:
    client: ClickUp
    workspace_id: str
    tending: Tending

    async def do(self, plan: Plan) -> Tended:
        """A new hook first and its secret stored, the old ones last, so that at no time nobody listens."""
        deeds: list[Deed] = []
        hook = plan.keep
        if plan.create is not None:
            made = await self._create(plan.create, self._events(plan.keep), {old.id for old in plan.remove})
            if made is None:
                return Tended(hook=plan.keep, blind=plan.blind, problem=NOT_TOLD)
            hook = made
            details = {"webhook_id": made.id, "endpoint": made.endpoint, "found": plan.blind or ""}
            deeds += [Deed(why, details) for why in plan.why]
        elif hook is not None:
            hook = await self._mend(hook, plan)
            deeds += [Deed(why, {"webhook_id": hook.id, "found": plan.blind or ""}) for why in plan.why]
        for old in plan.remove:
            if hook is None or old.id != hook.id:
                await self._remove(old.id)
                deeds.append(Deed("removed", {"webhook_id": old.id, "endpoint": old.endpoint}))
        return Tended(hook=hook, deeds=deeds, blind=plan.blind, problem=plan.problem)

    def _events(self, old: Hook | None) -> tuple[str, ...]:
        return events_for(old or self.tending.last or Hook(id="", endpoint=""), self.tending) or ALL

    async def _mend(self, hook: Hook, plan: Plan) -> Hook:
        if plan.store and hook.secret:
            await self.tending.keep(hook.id, hook.secret)
        if plan.mend is None:
            return hook
        wanted = plan.mend
        raw = await self.client.update_webhook(wanted.id, endpoint=wanted.endpoint, events=wanted.events)
        if not raw:
            return replace(wanted, fail_count=0)
        told = read(raw)
        if told.secret:
            await self.tending.keep(hook.id, told.secret)
        return replace(told, id=hook.id, status="active" if told.status == "unknown" else told.status)

    async def _create(self, endpoint: str, events: Sequence[str], bad: Collection[str]) -> Hook | None:
        """A new hook, its secret stored; None if ClickUp tells no secret. `bad`: hooks not to take over instead."""
        made: Hook | None = None
        for form in dict.fromkeys((endpoint, *forms(endpoint))):
            try:
                made = read(await self.client.create_webhook(self.workspace_id, endpoint=form, events=list(events)))
                break
            except AlreadyRegistered:
                # somebody was faster, or it is another user's, whose hooks no list shows us: perhaps one who is gone
                again = await _listed(self.client, self.workspace_id)
                same = (one for one in again if one.endpoint == form and one.secret and not one.scoped)
                if made := next((one for one in same if one.id not in {*bad, *self.tending.foreign}), None):
                    break
        if made is None:
            raise Rejected(f"ClickUp says of every form of {endpoint} that it is registered already")
        if made.secret is None:
            await self._remove(made.id)
            return None
        await self.tending.keep(made.id, made.secret)
        return replace(made, status="active" if made.status == "unknown" else made.status)

    async def _remove(self, id_: str) -> None:
        try:
            await self.client.delete_webhook(id_)
        except Gone:
            return  # that is what was wanted
