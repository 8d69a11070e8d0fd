"""The Integration Gallery: pages rendered here, through the same functions as the API, in the visitor's name.

Promises: a visitor nobody knows is sent to sign in and comes back, from all but the description of the API; what the
scopes do not allow is not shown; what goes wrong is a page that says what to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gallery import problems, rendering, resources, views
from gallery.authentication import attempt
from gallery.identity import Principal
from gallery.issuer import BACK
from gallery.problems import KINDS, Problem
from gallery.resources import Resources, Tenant
from gallery.session import place_of_ours, signed_in
from gallery.sign_on import LASTS, LEFT, SignOn
from gallery.views import View
from schema.errors import DatabaseUnavailable

MENU: Final = (
    ("/", "Integrations", "integrations:read", "grid"),
    ("/events", "Deliveries", "events:read", "list"),
    ("/dead-letters", "Dead letters", "events:read", "alert"),
    ("/search", "Search", "knowledge:read", "search"),
    ("/audit", "Audit", "integrations:read", "clock"),
    ("/docs", "API", None, "code"),
)
THEMES: Final = frozenset({"light", "dark"})

Handler = Callable[[Request], Awaitable[Response]]


def page(template: str, view: View, scope: str | None) -> Handler:
    """A page: whose data `view` finds, for whoever has the scope."""

    async def handle(request: Request) -> Response:
        who: Principal | None = request.scope.get("kb.principal")
        if who is None:
            refusal: Problem | None = request.scope.get("kb.refusal")
            if refusal is not None and refusal.name != "not-authenticated":
                return told(request, None, refusal)
            return RedirectResponse(f"/sign-in?next={quote(here(request), safe='/')}", 303)
        try:
            if scope is not None:
                await resources.need(scope)(request)
            tenant = await named(request)
            return rendering.html(template, common(request, who) | await view(request, tenant))
        except (Problem, DatabaseUnavailable, RequestValidationError) as error:
            return told(request, who, problems.of(error))
        except Exception as error:
            problems.log.exception("gallery.page", path=request.url.path)
            return told(request, who, problems.of(error))

    return handle


def here(request: Request) -> str:
    """The address that is shown, without its host."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


async def named(request: Request) -> Tenant:
    """In whose name a page is made."""
    org, project = request.query_params.get("org_id"), request.query_params.get("project_id")
    return await resources.tenant(
        request, request.app.state.resources, org, views.identity(project) if project else None
    )


def common(request: Request, who: Principal | None) -> dict[str, Any]:
    """What every page needs."""
    menu = [one for one in MENU if who is not None and (one[2] is None or who.may(one[2]))]
    return {
        "me": who,
        "menu": menu,
        "theme": theme if (theme := request.cookies.get("kb_theme")) in THEMES else None,
        "path": request.url.path,
        "here": here(request),
        "query": request.query_params,
        "fragment": request.headers.get("x-fragment") is not None,
        "can": who.may if who is not None else lambda _scope: False,
    }


def told(request: Request, who: Principal | None, problem: Problem) -> Response:
    """A problem as a page."""
    status, title = KINDS[problem.name]
    about = {"title": title, "problem": problem, "status": status}
    response = rendering.html("error.html", common(request, who) | about, status)
    response.headers.update(problem.headers)
    return response


async def docs(request: Request) -> Response:
    """The API, to read: for everybody, as `/openapi.json` is."""
    return rendering.html("docs.html", common(request, request.scope.get("kb.principal")) | views.docs(request))


async def sign_in(request: Request) -> Response:
    """The one page for strangers."""
    target = place_of_ours(request.query_params.get("next"))
    if request.scope.get("kb.principal") is not None:
        return RedirectResponse(target, 303)
    return rendering.html(
        "sign_in.html",
        common(request, None) | {"next": target, "sign_on": request.app.state.resources.sign_on is not None},
    )


async def away(request: Request) -> Response:
    """To the OpenID provider."""
    shared: Resources = request.app.state.resources
    try:
        sign_on = _sign_on(shared)
        url, cookie = await sign_on.away(place_of_ours(request.query_params.get("next")), shared.now())
    except Problem as problem:
        return told(request, None, problem)
    response = RedirectResponse(url, 303)
    secure = sign_on.client.gallery_url.startswith("https://")
    response.set_cookie(  # lax: the browser comes back from another site
        LEFT, cookie, max_age=int(LASTS.total_seconds()), path=BACK, httponly=True, samesite="lax", secure=secure
    )
    return response


async def back(request: Request) -> Response:
    """Back from the OpenID provider: signed in, and on to where the visitor wanted to go."""
    shared: Resources = request.app.state.resources
    try:
        sign_on = _sign_on(shared)
        kept = request.cookies.get(LEFT, "")
        token, target = await sign_on.back(dict(request.query_params), kept, shared.now())
        address = request.client.host if request.client else "unknown"
        cookie = await shared.gatekeeper.begin_session(await attempt(shared, address, token))
    except (Problem, DatabaseUnavailable) as error:
        return told(request, None, problems.of(error))
    # a redirect would still count as the other site's, and the strict cookie would stay at home
    response = signed_in(
        rendering.html("signed_in.html", common(request, None) | {"next": place_of_ours(target)}),
        cookie,
        secure=sign_on.client.gallery_url.startswith("https://"),
    )
    response.delete_cookie(LEFT, path=BACK, httponly=True, samesite="lax")
    return response


def _sign_on(shared: Resources) -> SignOn:
    if shared.sign_on is None:
        raise Problem("not-found", "no sign-in service is configured here; sign in with a token")
    return shared.sign_on


PAGES: Final[tuple[tuple[str, str, View, str | None], ...]] = (
    ("/", "gallery.html", views.gallery, None),
    ("/integrations/{id}", "integration.html", views.integration, "integrations:read"),
    ("/dialogs/connect/{provider}", "dialogs/configure.html", views.connect, "integrations:write"),
    ("/dialogs/configure/{id}", "dialogs/configure.html", views.configure, "integrations:write"),
    ("/dialogs/import/{id}", "dialogs/import.html", views.importing, "integrations:write"),
    ("/jobs/{id}", "job.html", views.job, "integrations:read"),
    ("/events", "events.html", views.events, "events:read"),
    ("/events/{id}", "event.html", views.event, "events:read"),
    ("/dead-letters", "dead_letters.html", views.dead_letters, "events:read"),
    ("/search", "search.html", views.search, "knowledge:read"),
    ("/objects/{id}", "object.html", views.stored, "knowledge:read"),
    ("/audit", "audit.html", views.audit, "integrations:read"),
)
ROUTES: Final = [
    *(Route(path, page(template, view, scope), methods=["GET"]) for path, template, view, scope in PAGES),
    Route("/docs", docs, methods=["GET"]),
    Route("/sign-in", sign_in, methods=["GET"]),
    Route("/sign-in/away", away, methods=["GET"]),
    Route(BACK, back, methods=["GET"]),
]
