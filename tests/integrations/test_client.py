"""The client against the simulated API over a real socket: every read, every failure by its name, no secret told."""

from __future__ import annotations

import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
import respx

from integrations.clickup import calls, client, client_v3
from integrations.clickup.client import MAX_COMMENT_PAGES, ClickUp, TaskPage, exchange_code, transport
from integrations.clickup.errors import (
    AlreadyRegistered,
    ClickUpError,
    Endless,
    Gone,
    RateLimited,
    Rejected,
    TokenRefused,
    Unavailable,
)
from integrations.clickup.simulator.server import Simulator
from tests.turns import Unmetered

TOKEN = "pk_48213377_SECRETSECRETSECRET"
API = "https://api.clickup.test/api"


@dataclass
class Served:
    """A simulator behind a socket, a client of it, and the ids of one of each kind."""

    simulator: Simulator
    api: ClickUp
    url: str
    http: httpx.AsyncClient
    ids: dict[str, str]

    def as_token(self, token: str) -> ClickUp:
        return once(self.http, self.url, token)


def once(http: httpx.AsyncClient, url: str, token: str = TOKEN) -> ClickUp:
    """A client that tries every call once; trying again is `test_calls.py`."""
    return ClickUp(http, url=url, token=token, turns=Unmetered(), attempts=1)


def populated(**options: Any) -> tuple[Simulator, dict[str, str]]:
    simulator = Simulator(seed=5, token=options.pop("token", TOKEN), **options)
    ws = simulator.workspace
    space = ws.create_space("Platform")[0]["space_id"]
    folder = ws.create_folder(space, "Runbooks")[0]["folder_id"]
    list_id = ws.create_list(folder, "Incidents")[0]["list_id"]
    task = ws.create_task(list_id, "Rotate — étape 1 🔐", description="**Drain** first")[0]["task_id"]
    goal = ws.create_goal("Q1")[0]["goal_id"]
    ws.create_key_result(goal, "Ship")
    ids = {"space": space, "folder": folder, "list": list_id, "task": task, "goal": goal, "team": ws.team_id}
    return simulator, ids


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Served]:
    simulator, ids = populated(**options)
    async with simulator.serving() as url, transport() as http:
        yield Served(simulator, once(http, f"{url}/"), url, http, ids)


@asynccontextmanager
async def answering(*responses: httpx.Response | type[httpx.TransportError]) -> AsyncIterator[ClickUp]:
    """An API that gives these answers, which no proper server gives, in turn."""
    with respx.mock(base_url=API) as router:
        router.get().mock(side_effect=list(responses))
        async with transport() as http:
            yield once(http, API)


async def caught(call: Awaitable[object]) -> ClickUpError:
    with pytest.raises(ClickUpError) as info:
        await call
    assert "\n" not in str(info.value)
    assert TOKEN not in "".join(traceback.format_exception(info.value)) + repr(info.value)
    return info.value


async def test_every_read() -> None:
    """Each read gives the object with its id, text beyond ASCII intact, and the description as Markdown."""
    async with serving() as served:
        api, ids = served.api, served.ids
        hook = served.simulator.register_webhook("https://example.com/hook")
        await api.prove_token()
        assert (await api.user())["id"] == served.simulator.workspace.owner.id
        assert [team["id"] for team in await api.teams()] == [ids["team"]]
        assert [one["id"] for one in await api.webhooks(ids["team"])] == [hook.id]
        task = await api.task(ids["task"])
        assert (task["id"], task["name"]) == (ids["task"], "Rotate — étape 1 🔐")
        assert task["markdown_description"] == "**Drain** first"
        assert (await api.list_(ids["list"]))["folder"]["id"] == ids["folder"]
        assert (await api.folder(ids["folder"]))["space"]["id"] == ids["space"]
        assert (await api.space(ids["space"]))["name"] == "Platform"
        assert [one["name"] for one in (await api.goal(ids["goal"]))["key_results"]] == ["Ship"]
        assert await api.comments(ids["task"], wanted=set()) == []


READS: dict[str, Callable[[ClickUp, str], Awaitable[object]]] = {
    "task": lambda api, id_: api.task(id_),
    "list": lambda api, id_: api.list_(id_),
    "folder": lambda api, id_: api.folder(id_),
    "space": lambda api, id_: api.space(id_),
    "goal": lambda api, id_: api.goal(id_),
    "comments": lambda api, id_: api.comments(id_, wanted={"1"}),
    "webhooks": lambda api, id_: api.webhooks(id_),
}


async def test_unknown_ids_are_gone() -> None:
    """The 401 OAUTH_027 of an id that is not there is Gone, and the token is proven good all the same."""
    async with serving() as served:
        for kind, call in READS.items():
            assert isinstance(await caught(call(served.api, "4711")), Gone), kind
        await served.api.prove_token()


async def test_deleted_and_hidden_ids_are_gone() -> None:
    """A task that was deleted and one that nobody may see any more are Gone; a changed path is not asked for."""
    async with serving() as served:
        served.simulator.faults.gone_ids = {served.ids["space"]}
        assert isinstance(await caught(served.api.task(served.ids["task"])), Gone)
        served.simulator.faults.gone_ids = set()
        served.simulator.workspace.delete_task(served.ids["task"])
        assert isinstance(await caught(served.api.task(served.ids["task"])), Gone)
        for odd in ("../user", "x/../../user", "a?b=c#d", "%2e%2e", "é", " "):
            assert isinstance(await caught(served.api.task(odd)), Gone), odd


@pytest.mark.parametrize("token", ["pk_wrong", "x", "", TOKEN.lower()])
async def test_bad_tokens(token: str) -> None:
    """A token that ClickUp does not know is refused on every read, by name and without quoting it."""
    async with serving() as served:
        api = served.as_token(token)
        for call in (api.prove_token, api.teams, lambda: api.task(served.ids["task"]), lambda: api.task("4711")):
            error = await caught(call())
            assert isinstance(error, TokenRefused)
            assert "kb-ingest doctor" in str(error)
            assert token in {"", "x"} or token not in str(error)


@pytest.mark.parametrize("end", ["\r\nX-Other: 1", "\x00", "é", "\u2026", "\ud800"], ids=ascii)
async def test_tokens_that_no_header_can_carry(end: str) -> None:
    """A token pasted with something that no header can carry fails by a name that says so, and is told nowhere."""
    async with serving() as served:
        assert isinstance(await caught(served.as_token(TOKEN + end).prove_token()), TokenRefused)


async def test_oauth_token() -> None:
    """An OAuth token goes behind Bearer, a personal one alone."""
    owner = populated()[0].workspace.owner.id
    async with serving(token={"oauth-token": owner}) as served:
        assert (await served.as_token("oauth-token").user())["id"] == owner
        assert isinstance(await caught(served.api.user()), TokenRefused)


async def test_rate_limit() -> None:
    """The call over the limit is RateLimited with the seconds until the minute is over; other tokens go on."""
    async with serving(limit_per_minute=2) as served:
        await served.api.user()
        await served.api.user()
        error = await caught(served.api.task(served.ids["task"]))
    assert isinstance(error, RateLimited)
    assert 50 <= error.retry_after <= 60
    assert "429" in str(error)


async def test_rate_limited_by_a_knob() -> None:
    """A budget that is used up for some seconds more says how many."""
    async with serving() as served:
        served.simulator.faults.rate_limited_until = datetime.now(UTC) + timedelta(seconds=20)
        error = await caught(served.api.user())
    assert isinstance(error, RateLimited)
    assert 17 <= error.retry_after <= 22


@pytest.mark.parametrize("knob", ["api_error_rate", "gateway_error_rate"])
async def test_server_errors(knob: str) -> None:
    """500 and 502, and a gateway's page of HTML, are Unavailable, and the next call may succeed."""
    async with serving() as served:
        setattr(served.simulator.faults, knob, 1.0)
        for _ in range(5):
            assert isinstance(await caught(served.api.task(served.ids["task"])), Unavailable)
        assert isinstance(await caught(served.api.prove_token()), Unavailable)
        setattr(served.simulator.faults, knob, 0.0)
        await served.api.prove_token()


PAGE = "<html><title>nginx</title></html>"


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (httpx.ConnectError, Unavailable),
        (httpx.ReadError, Unavailable),
        (httpx.RemoteProtocolError, Unavailable),
        (httpx.ReadTimeout, Unavailable),
        (httpx.PoolTimeout, Unavailable),
        (httpx.Response(301, headers={"Location": "https://login.example.com/"}), Unavailable),
        (httpx.Response(302), Unavailable),
        (httpx.Response(304), Unavailable),
        (httpx.Response(200, text=PAGE), Unavailable),
        (httpx.Response(200, text=""), Unavailable),
        (httpx.Response(200, text="[1]"), Unavailable),
        (httpx.Response(200, text="null"), Unavailable),
        (httpx.Response(200, content=b'{"id":"\xff"}'), Unavailable),
        (httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip")), Unavailable),
        (httpx.Response(204), Unavailable),
        (httpx.Response(503, text=PAGE), Unavailable),
        (httpx.Response(599, json={"err": None, "ECODE": 5}), Unavailable),
        (httpx.Response(404, text=PAGE), Gone),
        (httpx.Response(404, json={"err": "Task not found", "ECODE": "ITEM_013"}), Gone),
        (httpx.Response(401, json={"err": "Team not authorized", "ECODE": "OAUTH_027"}), Gone),
        (httpx.Response(403, json={"err": "Team not authorized", "ECODE": "OAUTH_023"}), Gone),
        (httpx.Response(401, json={"err": "Token invalid", "ECODE": "OAUTH_025"}), TokenRefused),
        (httpx.Response(401, json={"ECODE": None}), TokenRefused),
        (httpx.Response(401, text=PAGE), TokenRefused),
        (httpx.Response(400, json={"err": "Bad request", "ECODE": "INPUT_003"}), Rejected),
        (httpx.Response(400, json={"err": {"a": 1}, "ECODE": []}), Rejected),
        (httpx.Response(418, json={}), Rejected),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_odd_answers(response: Any, kind: type[ClickUpError]) -> None:
    """Every answer that is no object has the one name that says whether to ask again."""
    async with answering(response) as api:
        assert type(await caught(api.task("868cq4m2x"))) is kind


@pytest.mark.parametrize("depth", [300, 700, 1000, 9999])
async def test_deep_answers(depth: int) -> None:
    """A deeply nested answer is Unavailable, or an object that can be written on; no other error comes of it."""
    async with answering(httpx.Response(200, content=b'{"a":' + b"[" * depth + b"]" * depth + b"}")) as api:
        found: object = None
        with suppress(Unavailable):
            found = await api.task("1")
    orjson.dumps(found)


@pytest.mark.parametrize("response", [httpx.Response(404), httpx.Response(401, json={"ECODE": "OAUTH_027"})])
async def test_a_token_without_a_user_is_refused(response: httpx.Response) -> None:
    """Asked for the token's own user, an answer that means `no such id` elsewhere proves the token bad."""
    async with answering(response) as api:
        assert not isinstance(await caught(api.prove_token()), Gone)


async def test_lone_surrogates_and_nul() -> None:
    """An answer with half an emoji or NUL in it is read, cleaned for PostgreSQL, keys too."""
    async with answering(
        httpx.Response(200, content=rb'{"id":"1","name":"a\ud83d\u0000b","x\u0000":["\ud83d"]}')
    ) as api:
        assert await api.task("1") == {"id": "1", "name": "a?b", "x": ["?"]}


@pytest.fixture
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call may take a fifth of a second."""
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.2)


@pytest.mark.usefixtures("short_deadline")
async def test_slow_answer() -> None:
    """An answer that does not come in time is Unavailable when its time is over, not later."""
    async with serving() as served:
        served.simulator.faults.api_latency = 1.0
        started = time.monotonic()
        assert isinstance(await caught(served.api.user()), Unavailable)
        assert time.monotonic() - started < 0.8


async def test_nobody_listens() -> None:
    """A port that nobody listens on is Unavailable at once."""
    async with transport() as http:
        api = once(http, "http://127.0.0.1:1/api")
        assert isinstance(await caught(api.user()), Unavailable)


async def test_comment_60_of_70() -> None:
    """The comments are paged with both halves of the cursor until the wanted one came, and no further."""
    async with serving() as served:
        ws, task = served.simulator.workspace, served.ids["task"]
        posted = [ws.post_comment(task, f"Remark {at}")[0]["history_items"][0]["after"] for at in range(70)]
        asked: list[httpx.URL] = []

        async def note(request: httpx.Request) -> None:
            asked.append(request.url)

        served.http.event_hooks = {"request": [note]}
        for wanted, found, pages in [
            (set(posted[-60:-59]), 70, 3),
            (set(posted[-3:]), 25, 1),
            ({posted[-1], posted[-40]}, 50, 2),
            ({"nope"}, 70, 3),
            (set[str](), 25, 1),
        ]:
            asked.clear()
            ids = [one["id"] for one in await served.api.comments(task, wanted=wanted)]
            assert ids == posted[::-1][:found]
            assert len(asked) == pages
        assert {"start", "start_id"} == set(dict(asked[-1].params)) or len(asked) == 1


async def test_comment_cursor_that_never_moves() -> None:
    """An API that gives the same page for ever is left after a bounded number of calls."""
    page = {"comments": [{"id": str(at), "date": "1773569451207"} for at in range(25)]}
    async with answering(*[httpx.Response(200, json=page)] * (MAX_COMMENT_PAGES + 5)) as api:
        found = await api.comments("1", wanted={"nope"})
    assert {one["id"] for one in found} == {str(at) for at in range(25)}


@pytest.mark.parametrize("comments", [None, {}, "x", [None, 3], [{"id": "1"}, {"date": "x"}]])
async def test_odd_comment_pages(comments: object) -> None:
    """A page of comments of another type, or with others among them, gives the comments that are in it."""
    async with answering(httpx.Response(200, json={"comments": comments})) as api:
        found = await api.comments("1", wanted={"nope"})
    assert found == ([one for one in comments if isinstance(one, dict)] if isinstance(comments, list) else [])


async def gathered(pages: AsyncIterator[list[Any]]) -> list[list[str]]:
    """The ids, page by page."""
    return [[one["id"] for one in page] async for page in pages]


async def test_the_hierarchy() -> None:
    """Archived and other spaces, folders and lists come apart; lists without a folder have a listing of their own."""
    async with serving() as served:
        api, ids, ws = served.api, served.ids, served.simulator.workspace
        old = {
            "space": ws.create_space("Old space")[0]["space_id"],
            "folder": ws.create_folder(ids["space"], "Old folder")[0]["folder_id"],
            "list": ws.create_list(ids["folder"], "Old list")[0]["list_id"],
        }
        loose = [one["id"] for one in await api.folderless_lists(ids["space"], archived=False)]
        ws.archive_space(old["space"])
        ws.archive_folder(old["folder"])
        ws.archive_list(old["list"])
        for archived, expected in ((False, ids), (True, old)):
            assert [one["id"] for one in await api.spaces(ids["team"], archived=archived)] == [expected["space"]]
            assert [one["id"] for one in await api.folders(ids["space"], archived=archived)] == [expected["folder"]]
            assert [one["id"] for one in await api.lists(ids["folder"], archived=archived)] == [expected["list"]]
        assert len(loose) == 1
        assert await api.folderless_lists(ids["space"], archived=True) == []


async def test_what_belongs_to_a_workspace() -> None:
    """Fields, task types, tags, members, time and goals of a workspace are read as the simulated API gives them."""
    async with serving() as served:
        api, ids, ws = served.api, served.ids, served.simulator.workspace
        colleague = next(one.id for one in ws.colleagues() if one.id != ws.owner.id)
        field = ws.add_field(ids["list"], "Severity", "drop_down", options=["low", "high"])
        everywhere = ws.add_field(ids["team"], "Customer", "short_text")
        assert {one["id"] for one in await api.fields(ids["list"])} >= {field.id}
        assert [one["id"] for one in await api.team_fields(ids["team"])] == [everywhere.id]
        number = ws.add_task_type("Bug")
        assert number in {one["id"] for one in await api.task_types(ids["team"])}
        ws.add_tag(ids["task"], "urgent")
        assert [one["name"] for one in await api.tags(ids["space"])] == ["urgent"]
        for call, shared in ((api.members, ids["list"]), (api.task_members, ids["task"])):
            ws.share(shared, colleague)
            assert [one["id"] for one in await call(shared)] == [colleague]
        ws.track_time(ids["task"], 60_000, by=colleague)
        assert len(await api.task_time(ids["task"])) == 1
        start, end = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
        assert await api.time_entries(ids["team"], start=start, end=end) == []
        theirs = await api.time_entries(ids["team"], start=start, end=end, assignees=[str(colleague)])
        assert [one["user"]["id"] for one in theirs] == [colleague]
        folder = ws.create_goal_folder("Quarter")
        inside = ws.create_goal("Q2", folder_id=folder.id)[0]["goal_id"]
        assert {one["id"] for one in await api.goals(ids["team"])} == {ids["goal"], inside}


async def test_pages_of_tasks() -> None:
    """A workspace's and a list's tasks come by the hundred until one page says it is the last, filters obeyed."""
    async with serving() as served:
        api, ids, ws = served.api, served.ids, served.simulator.workspace
        other = ws.create_list(ids["folder"], "Other")[0]["list_id"]
        made = [ws.create_task(other, f"Task {at}")[0]["task_id"] for at in range(150)]
        first, second = [await api.list_tasks(other, page=page, order_by="created", reverse=True) for page in (0, 1)]
        assert (first.last, second.last) == (False, True)
        assert {one["id"] for one in (*first.tasks, *second.tasks)} == set(made)
        assert (len(first.tasks), len(second.tasks)) == (100, 50)
        team = await api.team_tasks(ids["team"], list_ids=[ids["list"]], subtasks=True, include_closed=True)
        assert [one["id"] for one in team.tasks] == [ids["task"]]
        assert team.last
        both = await api.team_tasks(ids["team"], list_ids=[ids["list"], other], page=1)
        assert (len(both.tasks), both.last) == (51, True)


FULL = [{"id": str(at)} for at in range(100)]


@pytest.mark.parametrize(
    ("answer", "count", "last"),
    [
        ({"tasks": FULL, "last_page": False}, 100, False),
        ({"tasks": FULL, "last_page": True}, 100, True),
        ({"tasks": FULL}, 100, False),
        ({"tasks": FULL[:99]}, 99, True),
        ({"tasks": FULL[:99], "last_page": None}, 99, True),
        ({"tasks": FULL[:99], "last_page": False}, 99, False),
        ({"tasks": [*FULL[:98], None, "x"]}, 98, False),
        ({"tasks": [*FULL[:97], None, "x"]}, 97, True),
        ({"tasks": [], "last_page": False}, 0, True),
        ({"tasks": [None], "last_page": False}, 0, False),
        ({"tasks": [], "last_page": True}, 0, True),
        ({"tasks": None}, 0, True),
    ],
    ids=lambda value: str(value)[-60:],
)
async def test_the_last_page_of_tasks(answer: Any, count: int, last: bool) -> None:
    """`last_page` wins; without it fewer than 100 rows end it, junk counted; an empty page always does."""
    async with answering(*[httpx.Response(200, json=answer)] * 2) as api:
        for page in (await api.team_tasks("9"), await api.list_tasks("1")):
            assert page == TaskPage(tasks=[one for one in answer["tasks"] or [] if isinstance(one, dict)], last=last)
            assert len(page.tasks) == count


async def test_all_comments() -> None:
    """Page by page to the end, each once, replies asked for apart."""
    async with serving() as served:
        api, ids, ws = served.api, served.ids, served.simulator.workspace
        posted = [ws.post_comment(ids["task"], f"Remark {at}")[0]["history_items"][0]["after"] for at in range(60)]
        ws.post_comment(ids["task"], "Indeed", reply_to=posted[3])
        pages = await gathered(api.all_comments(ids["task"]))
        assert [len(page) for page in pages] == [25, 25, 10]
        assert [id_ for page in pages for id_ in page] == posted[::-1]
        assert [one["comment_text"].strip() for one in await api.replies(posted[3])] == ["Indeed"]
        assert await api.replies(posted[4]) == []


def comments(first: int, count: int, **more: Any) -> list[Any]:
    """Comments, newest first, with falling dates."""
    return [{"id": str(at), "date": str(1773569451207 - at)} | more for at in range(first, first + count)]


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        ([[]], 0),
        ([comments(0, 24)], 24),
        ([comments(0, 25), []], 25),
        ([comments(0, 25), comments(0, 25)], 25),
        ([comments(0, 25), comments(24, 25), comments(49, 3)], 52),
        ([comments(0, 25, date=None)], 25),
        ([comments(0, 25, date="soon")], 25),
        ([[*comments(0, 24), None], comments(24, 1)], 25),
        ([[*comments(0, 24), {"id": "x"}], comments(24, 1)], 26),
        ([[*comments(0, 24), {"date": "1773569451207"}], comments(24, 1)], 25),
        ([[{"id": at, "date": 1773569451207 - at} for at in range(25)], comments(25, 2)], 27),
        ([comments(0, 13) * 2], 13),
        ([comments(0, 25), None], 25),
    ],
    ids=str,
)
async def test_where_comments_end(pages: list[Any], found: int) -> None:
    """At a short or empty page, one without a date to go on from, or one that brings nothing new; never before."""
    answers = [httpx.Response(200, json={"comments": page}) for page in pages]
    async with answering(*answers, *([httpx.Response(200, json={"comments": []})] if found == 13 else [])) as api:
        ids = [str(id_) for page in await gathered(api.all_comments("1")) for id_ in page]
        assert len(ids) == len(set(ids)) == found
        assert api.count == len(answers) + (found == 13)


async def test_comments_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that always brings something new is given up by a name of its own, not cut."""
    monkeypatch.setattr(client, "MAX_PAGES", 4)
    answers = [httpx.Response(200, json={"comments": comments(25 * at, 25)}) for at in range(5)]
    async with answering(*answers) as api:
        assert isinstance(await caught(gathered(api.all_comments("1"))), Endless)


async def test_a_failure_between_pages_is_not_the_end() -> None:
    """A page that cannot be had raises, with those before it already given."""
    page = httpx.Response(200, json={"comments": comments(0, 25)})
    async with answering(page, httpx.Response(502)) as api:
        given: list[Any] = []

        async def read() -> None:
            async for one in api.all_comments("1"):
                given.extend(one)

        assert isinstance(await caught(read()), Unavailable)
        assert len(given) == 25


async def test_docs() -> None:
    """Docs come by the hundred, archived ones apart, with pages as a tree, with and without what is on them."""
    async with serving() as served:
        api, team, ws = served.api, served.ids["team"], served.simulator.workspace
        made = [ws.create_doc(f"Doc {at}").id for at in range(230)]
        ws.archive_doc(made[0])
        ws.delete_doc(made[1])
        pages = await gathered(api.docs(team, archived=False))
        assert [len(page) for page in pages] == [100, 100, 28]
        assert sorted(id_ for page in pages for id_ in page) == sorted(made[2:])
        assert await gathered(api.docs(team, archived=True)) == [[made[0]]]
        assert await gathered(api.docs(team, archived=False, deleted=True)) == [[made[1]]]
        assert (await api.doc(team, made[2]))["name"] == "Doc 2"
        top = ws.add_page(made[2], "Top", "# Hello")
        below = ws.add_page(made[2], "Below", "**there**", parent=top.id)
        (listed,) = await api.doc_page_listing(team, made[2])
        assert [one["id"] for one in listed["pages"]] == [below.id]
        assert "content" not in listed
        (read,) = await api.doc_pages(team, made[2])
        assert (read["content"], read["pages"][0]["content"]) == ("# Hello", "**there**")
        assert (await api.doc_page(team, made[2], below.id))["content"] == "**there**"
        assert isinstance(await caught(api.doc(team, "8cht190-1")), Gone)
        assert isinstance(await caught(gathered(api.docs("4711", archived=False))), Gone)
        assert isinstance(await caught(gathered(served.as_token("pk_x").docs(team, archived=False))), TokenRefused)


async def test_docs_in_a_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that comes again, at once or after a while, and a listing without an end are named, not followed."""
    async with serving() as served:
        served.simulator.faults.docs_cursor_loops = True
        for at in range(120):
            served.simulator.workspace.create_doc(f"Doc {at}")
        assert isinstance(await caught(gathered(served.api.docs(served.ids["team"], archived=False))), Endless)

    def page(cursor: object) -> httpx.Response:
        return httpx.Response(200, json={"docs": [{"id": "d"}], "next_cursor": cursor})

    async with answering(page("a"), page("b"), page("a")) as api:
        assert isinstance(await caught(gathered(api.docs("9", archived=True))), Endless)
        assert api.count == 3
    monkeypatch.setattr(client_v3, "MAX_PAGES", 4)
    async with answering(*[page(at) for at in range(5)]) as api:
        assert isinstance(await caught(gathered(api.docs("9", archived=True))), Endless)


@pytest.mark.parametrize("end", [{}, {"next_cursor": None}, {"next_cursor": ""}])
async def test_the_last_page_of_docs(end: Any) -> None:
    """No next cursor is the end, an empty page with one is not; junk is left out; the cursor is sent as it came."""
    answers = [
        {"docs": [], "next_cursor": "a/+="},
        {"docs": [{"id": "d"}, None, 7], "next_cursor": 5},
        {"docs": [{"id": "e"}], **end},
    ]
    with respx.mock(base_url=API) as router:
        route = router.get("/v3/workspaces/9/docs").mock(
            side_effect=[httpx.Response(200, json=answer) for answer in answers]
        )
        async with transport() as http:
            assert await gathered(once(http, API).docs("9", archived=True)) == [["d"], ["e"]]
        asked = [dict(call.request.url.params) for call in route.calls]
    assert asked[0] == {"archived": "true", "deleted": "false", "limit": "100"}
    assert [one.get("cursor") for one in asked] == [None, "a/+=", "5"]


async def test_attachments() -> None:
    """A task's attachments are v3's, gathered from cursor to cursor."""
    async with serving() as served:
        for at in range(120):
            served.simulator.workspace.attach(served.ids["task"], f"{at}.png")
        found = await served.api.attachments(served.ids["team"], served.ids["task"])
        assert {one["title"] for one in found} == {f"{at}.png" for at in range(120)}
    with respx.mock(base_url=API) as router:
        route = router.get("/v3/workspaces/9/attachments/868cq4m2x/attachments").mock(
            side_effect=[
                httpx.Response(200, json={"data": [{"id": "a.png"}], "next_cursor": "c"}),
                httpx.Response(200, json={"data": [{"id": "b.pdf"}, None], "next_cursor": ""}),
            ]
        )
        async with transport() as http:
            found = await once(http, API).attachments("9", "868cq4m2x")
        assert dict(route.calls[1].request.url.params) == {"limit": "100", "cursor": "c"}
    assert [one["id"] for one in found] == ["a.png", "b.pdf"]


START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 3, 15, 10, tzinfo=UTC)
PLAIN: list[tuple[Callable[[ClickUp], Awaitable[Any]], str, str, dict[str, str]]] = [
    (lambda api: api.teams(), "/v2/team", "teams", {}),
    (lambda api: api.spaces("9", archived=True), "/v2/team/9/space", "spaces", {"archived": "true"}),
    (lambda api: api.folders("9", archived=False), "/v2/space/9/folder", "folders", {"archived": "false"}),
    (lambda api: api.lists("9", archived=True), "/v2/folder/9/list", "lists", {"archived": "true"}),
    (lambda api: api.folderless_lists("9", archived=True), "/v2/space/9/list", "lists", {"archived": "true"}),
    (lambda api: api.replies("9"), "/v2/comment/9/reply", "comments", {}),
    (lambda api: api.fields("9"), "/v2/list/9/field", "fields", {}),
    (lambda api: api.team_fields("9"), "/v2/team/9/field", "fields", {}),
    (lambda api: api.members("9"), "/v2/list/9/member", "members", {}),
    (lambda api: api.task_members("9"), "/v2/task/9/member", "members", {}),
    (lambda api: api.task_types("9"), "/v2/team/9/custom_item", "custom_items", {}),
    (lambda api: api.tags("9"), "/v2/space/9/tag", "tags", {}),
    (lambda api: api.goals("9"), "/v2/team/9/goal", "goals", {"include_completed": "true"}),
    (lambda api: api.webhooks("9"), "/v2/team/9/webhook", "webhooks", {}),
    (lambda api: api.task_time("9"), "/v2/task/9/time", "data", {}),
    (
        lambda api: api.time_entries("9", start=START, end=END, assignees=["1", "2"]),
        "/v2/team/9/time_entries",
        "data",
        {"start_date": "1577836800000", "end_date": "1773568800000", "assignee": "1,2"},
    ),
    (
        lambda api: api.time_entries("9", start=START, end=END),
        "/v2/team/9/time_entries",
        "data",
        {"start_date": "1577836800000", "end_date": "1773568800000"},
    ),
    (
        lambda api: api.doc_page_listing("9", "d"),
        "/v3/workspaces/9/docs/d/page_listing",
        "pages",
        {"max_page_depth": "-1"},
    ),
    (
        lambda api: api.doc_pages("9", "d"),
        "/v3/workspaces/9/docs/d/pages",
        "pages",
        {"content_format": "text/md", "max_page_depth": "-1"},
    ),
]


@pytest.mark.parametrize(("call", "path", "name", "query"), PLAIN, ids=[row[1] for row in PLAIN])
async def test_plain_listings(
    call: Callable[[ClickUp], Awaitable[Any]], path: str, name: str, query: dict[str, str]
) -> None:
    """The path and the query are the OpenAPI file's; junk is left out; what is no listing is not an empty one."""
    good = [{"id": "1", "new": {"field": [None]}}, {"id": "2", "name": None, "orderindex": "3"}]
    with respx.mock(base_url=API) as router:
        route = router.get(path)
        async with transport() as http:
            api = once(http, API)
            for listed, expected in (([good[0], None, "x", 7, [], good[1]], good), ([], []), (None, [])):
                route.mock(return_value=httpx.Response(200, json={name: listed, "unknown": 1}))
                assert await call(api) == expected
            assert dict(route.calls[0].request.url.params) == query
            odds: list[Any] = [{}, {name: {}}, {name: "x"}, {name: 3}, {"err": "Internal error", "ECODE": "X"}]
            for odd in odds:
                route.mock(return_value=httpx.Response(200, json=odd))
                assert isinstance(await caught(call(api)), Unavailable), odd


async def test_arrays_in_place_of_objects() -> None:
    """Task types are read from the example's array of objects too, and pages of docs from a plain array."""
    async with answering(
        httpx.Response(200, json=[{"custom_items": [{"id": 1300}]}, {"custom_items": [{"id": 1301}]}]),
        httpx.Response(200, json=[{"id": "p", "pages": [{"id": "q"}]}]),
    ) as api:
        assert [one["id"] for one in await api.task_types("9")] == [1300, 1301]
        assert await api.doc_pages("9", "d") == [{"id": "p", "pages": [{"id": "q"}]}]


@pytest.mark.parametrize(
    ("answer", "ids"),
    [
        ({"goals": [{"id": "a"}], "folders": [{"goals": [{"id": "b"}, {"id": "a"}]}, {"goals": [{"id": "c"}]}]}, "abc"),
        ({"goals": [], "folders": [{"id": "f", "goals": None}, None, {"goals": [None, {"id": "b"}]}]}, "b"),
        ({"goals": [{"id": None}, {"name": "x"}, {"id": "a"}], "folders": None}, "a"),
        ({"goals": None, "folders": [{"goals": [{"id": "b"}]}]}, "b"),
        ({"goals": [{"id": "a"}]}, "a"),
    ],
)
async def test_goals_in_folders(answer: Any, ids: str) -> None:
    """Goals come from the top and from folders, each once."""
    async with answering(httpx.Response(200, json=answer)) as api:
        assert [one["id"] for one in await api.goals("9")] == list(ids)


@pytest.mark.parametrize(
    ("answer", "lists"),
    [
        ({"shared": {"tasks": [], "lists": [{"id": "1"}, None], "folders": None}}, ["1"]),
        ({"lists": [{"id": "1"}]}, ["1"]),
        ({"shared": {"tasks": []}}, []),
    ],
)
async def test_what_is_shared(answer: Any, lists: list[str]) -> None:
    """All three kinds are there to be read, whichever the answer has, wrapped or not."""
    async with answering(httpx.Response(200, json=answer)) as api:
        found = await api.shared("9")
        assert [one["id"] for one in found["lists"]] == lists
        assert (found["tasks"], found["folders"]) == ([], [])


@pytest.mark.parametrize("answer", [{}, {"shared": None}, {"shared": {}}, {"spaces": []}])
async def test_nothing_about_what_is_shared(answer: Any) -> None:
    """An answer that says nothing of it is not that nothing is shared."""
    async with answering(httpx.Response(200, json=answer)) as api:
        assert isinstance(await caught(api.shared("9")), Unavailable)


async def test_entities_without_their_wrapper() -> None:
    """User and goal are read with and without the wrapper."""
    wrapped = [{"user": {"id": 1}}, {"id": 1}, {"goal": {"id": "g"}}, {"id": "g"}]
    async with answering(*[httpx.Response(200, json=one) for one in wrapped]) as api:
        assert [await api.user(), await api.user()] == [{"id": 1}] * 2
        assert [await api.goal("g"), await api.goal("g")] == [{"id": "g"}] * 2


async def test_webhooks_come_and_go() -> None:
    """A hook is made once, with its secret, changed, revived and deleted; a second one is refused by name."""
    async with serving() as served:
        api, ids = served.api, served.ids
        made = await api.create_webhook(ids["team"], endpoint="https://example.com/a", events=["taskCreated"])
        assert len(made["secret"]) == 64
        assert (made["endpoint"], made["events"]) == ("https://example.com/a", ["taskCreated"])
        again = api.create_webhook(ids["team"], endpoint="https://example.com/a", events=["*"])
        assert isinstance(await caught(again), AlreadyRegistered)
        served.simulator.workspace.suspend_webhook(made["id"])
        changed = await api.update_webhook(made["id"], endpoint="https://example.com/b", events=["*"])
        assert (changed["id"], changed["endpoint"], changed["events"]) == (made["id"], "https://example.com/b", ["*"])
        assert changed["health"]["status"] == "active"
        scoped = await api.create_webhook(
            ids["team"], endpoint="https://example.com/c", events=["*"], space_id=ids["space"]
        )
        assert str(scoped["space_id"]) == ids["space"]
        assert {one["id"] for one in await api.webhooks(ids["team"])} == {made["id"], scoped["id"]}
        for hook in (made, scoped):
            await api.delete_webhook(hook["id"])
        assert await api.webhooks(ids["team"]) == []
        assert isinstance(await caught(api.delete_webhook(made["id"])), Gone)
        gone = api.update_webhook(made["id"], endpoint="https://example.com/b", events=["*"])
        assert isinstance(await caught(gone), Gone)
        assert isinstance(await caught(api.create_webhook("4711", endpoint="https://x", events=["*"])), Gone)


async def test_what_is_sent_about_webhooks() -> None:
    """Events go as a list, `*` of an update as the text; ids of places as numbers, of tasks as text; none unasked."""
    hook = {"id": "h", "webhook": {"id": "h", "secret": "S"}}
    with respx.mock(base_url=API) as router:
        post = router.post("/v2/team/9/webhook").mock(return_value=httpx.Response(200, json=hook))
        put = router.put("/v2/webhook/a%2Fb").mock(return_value=httpx.Response(200, json=hook))
        delete = router.delete("/v2/webhook/a%2Fb").mock(return_value=httpx.Response(200, json={}))
        async with transport() as http:
            api = once(http, API)
            await api.create_webhook("9", endpoint="https://x", events=("*",))
            await api.create_webhook("9", endpoint="https://x", events=["a"], space_id="90131120077", list_id="odd")
            await api.create_webhook("9", endpoint="https://x", events=["a"], folder_id="2", task_id="123")
            assert await api.update_webhook("a/b", endpoint="https://x", events=("*",)) == hook["webhook"]
            await api.update_webhook("a/b", endpoint="https://x", events=["b", "*"], status="suspended")
            await api.delete_webhook("a/b")
        assert [orjson.loads(call.request.content) for call in post.calls] == [
            {"endpoint": "https://x", "events": ["*"]},
            {"endpoint": "https://x", "events": ["a"], "space_id": 90131120077, "list_id": "odd"},
            {"endpoint": "https://x", "events": ["a"], "folder_id": 2, "task_id": "123"},
        ]
        assert [orjson.loads(call.request.content) for call in put.calls] == [
            {"endpoint": "https://x", "events": "*", "status": "active"},
            {"endpoint": "https://x", "events": ["b", "*"], "status": "suspended"},
        ]
        assert delete.called


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"id": "h", "webhook": {"secret": "S"}}, {"id": "h", "secret": "S"}),
        ({"id": "h", "secret": "S"}, {"id": "h", "secret": "S"}),
        ({"webhook": {"id": "h"}}, {"id": "h"}),
        ({"webhook": {"secret": "S"}}, None),
        ({}, None),
    ],
)
async def test_the_answer_to_a_new_webhook(answer: Any, expected: Any) -> None:
    """The hook has its id, wherever the answer has it; an answer that names none is no hook."""
    with respx.mock(base_url=API) as router:
        router.post().mock(return_value=httpx.Response(200, json=answer))
        async with transport() as http:
            call = once(http, API).create_webhook("9", endpoint="https://x", events=["*"])
            if expected is None:
                assert isinstance(await caught(call), Unavailable)
            else:
                assert await call == expected


async def test_a_webhook_is_not_made_twice_by_a_retry() -> None:
    """After a reset in the middle of the answer the hook is there once, and the caller is told to look."""
    async with serving() as served:
        api = ClickUp(served.http, url=served.url, token=TOKEN, turns=Unmetered())
        served.simulator.faults.reset_rate = 1.0
        call = api.create_webhook(served.ids["team"], endpoint="https://example.com/a", events=["*"])
        assert isinstance(await caught(call), Unavailable)
        served.simulator.faults.reset_rate = 0.0
        assert api.count == 1
        assert len(await api.webhooks(served.ids["team"])) == 1


async def test_the_exchange_of_a_code() -> None:
    """A code gives a token that works behind Bearer; used twice, or with a wrong secret, it is refused by name."""
    async with serving() as served:
        app = served.simulator.oauth.app

        async def code() -> str:
            asked = {"client_id": app.client_id, "redirect_uri": "https://example.com/back"}
            answer = await served.http.get(served.url, params=asked)
            return httpx.URL(answer.headers["location"]).params["code"]

        async def exchange(code: str, secret: str = app.client_secret) -> str:
            return await exchange_code(
                served.http, url=f"{served.url}/", client_id=app.client_id, client_secret=secret, code=code
            )

        good = await code()
        token = await exchange(good)
        await served.as_token(token).prove_token()
        for secret, used in ((app.client_secret, good), ("SECRETOFTHEAPP", await code())):
            error = await caught(exchange(used, secret))
            assert type(error) is Rejected
            told = "".join(traceback.format_exception(error))
            assert used not in told
            assert secret not in told


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(200, json={"access_token": None}), Unavailable),
        (httpx.Response(200, json={"access_token": "a b"}), Unavailable),
        (httpx.Response(200, json=["x"]), Unavailable),
        (httpx.Response(200, text=PAGE), Unavailable),
        (httpx.Response(502, text="SECRETOFTHEAPP"), Unavailable),
        (httpx.ReadTimeout, Unavailable),
        (httpx.ConnectError, Unavailable),
        (httpx.Response(429), RateLimited),
        (httpx.Response(400, json={"err": "no SECRETOFTHEAPP CODE1", "ECODE": "OAUTH_007"}), Rejected),
        (httpx.Response(401, json={"err": "no SECRETOFTHEAPP CODE1", "ECODE": "OAUTH_010"}), Rejected),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_an_exchange_that_fails(answer: Any, kind: type[ClickUpError]) -> None:
    """It fails by name after one try, and neither the code nor the app's secret is told."""
    with respx.mock(base_url=API) as router:
        route = router.post("/v2/oauth/token").mock(side_effect=[answer])
        async with transport() as http:
            error = await caught(
                exchange_code(http, url=API, client_id="ID", client_secret="SECRETOFTHEAPP", code="CODE1")
            )
        request = route.calls[0].request
    assert type(error) is kind
    told = "".join(traceback.format_exception(error))
    assert "SECRETOFTHEAPP" not in told
    assert "CODE1" not in told
    assert orjson.loads(request.content) == {"client_id": "ID", "client_secret": "SECRETOFTHEAPP", "code": "CODE1"}
    assert "authorization" not in request.headers


async def test_the_client_tries_again() -> None:
    """Five tries unless told otherwise, counted, with ClickUp's clock at hand."""
    async with serving() as served:
        turns = Unmetered()
        api = ClickUp(served.http, url=served.url, token=TOKEN, turns=turns)
        assert (api.count, api.said_at) == (0, None)
        served.simulator.faults.api_error_burst = 2
        await api.user()
        assert (api.count, len(turns.statuses), turns.statuses[-1]) == (3, 3, 200)
        assert api.said_at is not None
        assert abs(api.said_at - datetime.now(UTC)) < timedelta(seconds=30)
