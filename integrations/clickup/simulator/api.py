"""ClickUp's API over the simulated workspace, as a Starlette application: v2 under /api/v2, v3 under /api/v3.

Serves what an import, an incremental sync and a sweep read, the webhooks' registration, and OAuth. Shapes follow the
OpenAPI files, behaviour follows ClickUp's docs and what is observed of the real service; which is which is said where
it is done: `gate.py` (tokens, limits, errors), `hierarchy_api.py`, `task_api.py`, `docs_api.py`, `webhook_api.py`,
`oauth.py`.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from integrations.clickup.simulator.docs_api import DocsApi
from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.gate import Calls, Gate, json_answer
from integrations.clickup.simulator.hierarchy_api import HierarchyApi
from integrations.clickup.simulator.oauth import OAuth
from integrations.clickup.simulator.task_api import TaskApi
from integrations.clickup.simulator.webhook_api import WebhookApi
from integrations.clickup.simulator.workspace import Workspace


def build_api(
    workspace: Workspace, faults: Faults, *, gate: Gate, oauth: OAuth, calls: Calls, limit_per_minute: int
) -> Starlette:
    """The application, with the page where an OAuth app is allowed at /api, as on ClickUp's own host."""
    table = [
        *HierarchyApi(workspace, gate, limit_per_minute=limit_per_minute).routes(),
        *TaskApi(workspace, gate).routes(),
        *WebhookApi(workspace, faults).routes(),
        *DocsApi(workspace, gate, faults).routes(),
    ]
    routes = [Route(f"/api{path}", gate.endpoint(method, path, one), methods=[method]) for method, path, one in table]
    routes += [
        Route("/api", gate.unmetered("GET", "/", oauth.authorize), methods=["GET"]),
        Route("/api/v2/oauth/token", gate.unmetered("POST", "/v2/oauth/token", oauth.token), methods=["POST"]),
    ]

    async def no_route(request: Request, _error: Exception) -> Response:
        calls[request.method, "(unknown)", 404] += 1
        return json_answer({"err": "Route not found", "ECODE": "APP_001"}, 404)

    return Starlette(routes=routes, exception_handlers={404: no_route})
