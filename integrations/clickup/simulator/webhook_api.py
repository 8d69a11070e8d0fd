"""Registering webhooks over the API: create, list, update, delete.

A caller sees and changes only hooks of its own user (official). The secret is ClickUp's choice and stands in every
answer (OpenAPI examples). A second hook for the same endpoint and location is refused with OAUTH_171 (official code;
the status 400 is assumed). Unknown event names are accepted (assumed). Nothing is sent to the endpoint on creation.
"""

from collections.abc import Container
from typing import Any

import orjson
from starlette.requests import Request

from integrations.clickup.simulator import rendering
from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.gate import Handler
from integrations.clickup.simulator.records import Place, Webhook
from integrations.clickup.simulator.refusals import RefusalError, found, not_authorized
from integrations.clickup.simulator.workspace import DuplicateWebhookError, Workspace

Json = dict[str, Any]


class WebhookApi:
    """The webhook requests; each method answers its route for the calling user."""

    def __init__(self, workspace: Workspace, faults: Faults) -> None:
        self._workspace = workspace
        self._faults = faults

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        return [
            ("GET", "/v2/team/{team_id}/webhook", self.all),
            ("POST", "/v2/team/{team_id}/webhook", self.create),
            ("PUT", "/v2/webhook/{webhook_id}", self.update),
            ("DELETE", "/v2/webhook/{webhook_id}", self.delete),
        ]

    async def all(self, request: Request, user_id: int) -> Json:
        """The caller's webhooks, unpaged."""
        self._check_team(request)
        hooks = self._workspace.webhooks_of(user_id)
        return {"webhooks": [self._shown(one) for one in hooks]}

    async def create(self, request: Request, user_id: int) -> Json:
        """Register a hook; `events` may be a list or the text "*" (both are sent by shipping clients)."""
        self._check_team(request)
        wanted = await _object(request)
        endpoint = wanted.get("endpoint")
        if not isinstance(endpoint, str) or not endpoint:
            raise RefusalError(400, "Webhook endpoint invalid", "OAUTH_172")
        scope = {
            level: str(wanted[level])
            for level in ("space_id", "folder_id", "list_id", "task_id")
            if wanted.get(level) is not None
        }
        self._check_scope(scope)
        try:
            made = self._workspace.add_webhook(
                endpoint,
                events=_events(wanted.get("events")),
                scope=Place(**scope),
                userid=user_id,
            )
        except DuplicateWebhookError:
            raise RefusalError(400, "Webhook configuration already exists", "OAUTH_171") from None
        return {"id": made.id, "webhook": rendering.webhook(self._workspace, made)}

    async def update(self, request: Request, user_id: int) -> Json:
        """Change a hook; status "active" revives a suspended one. Without `events` it hears all (official text)."""
        hook = self._own(request, user_id)
        wanted = await _object(request)
        if isinstance(wanted.get("endpoint"), str):
            hook.endpoint = wanted["endpoint"]
        hook.events = _events(wanted.get("events"))
        if wanted.get("status") == "active" and not self._faults.keep_suspended:
            hook.reactivate()
        return {"id": hook.id, "webhook": self._shown(hook)}

    async def delete(self, request: Request, user_id: int) -> Json:
        """Forget a hook; what is still on its way to it is not sent."""
        self._workspace.delete_webhook(self._own(request, user_id).id)
        return {}

    def _shown(self, hook: Webhook) -> Json:
        shown = rendering.webhook(self._workspace, hook)
        if self._faults.hide_secrets:
            del shown["secret"]
        return shown

    def _own(self, request: Request, user_id: int) -> Webhook:
        hook = found(self._workspace.webhooks, request.path_params["webhook_id"])
        if hook.userid != user_id:
            raise not_authorized()
        return hook

    def _check_team(self, request: Request) -> None:
        if request.path_params["team_id"] != self._workspace.team_id:
            raise not_authorized()

    def _check_scope(self, scope: dict[str, str]) -> None:
        places: dict[str, Container[str]] = {
            "space_id": self._workspace.spaces,
            "folder_id": self._workspace.folders,
            "list_id": self._workspace.lists,
            "task_id": self._workspace.tasks,
        }
        if not all(wanted in places[level] for level, wanted in scope.items()):
            raise not_authorized()


def _events(wanted: Any) -> tuple[str, ...]:
    if isinstance(wanted, list) and wanted:
        return tuple(map(str, wanted))
    return (wanted,) if isinstance(wanted, str) and wanted else ("*",)


async def _object(request: Request) -> Json:
    try:
        wanted = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        wanted = None
    if not isinstance(wanted, dict):
        raise RefusalError(400, "Invalid JSON", "INPUT_001")
    return wanted
