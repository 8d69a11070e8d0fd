"""The admin API on a real database, behind a source: what each route does, whom it refuses, what it never says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from gallery.access import FAILURES
from gallery.problems import KINDS, PREFIX
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.conftest import Connected, connect, sample, until
from tests.gallery.gallery import API, Gallery, serving
from tests.house import TOKEN, House, house
from tests.source import TASK, TEAM, Source, story

SECRET = "pk_48213377_PLANTED0SECRET0OF0THE0TOKEN"
NEW = {"name": "clickup", "settings": {"api_token": SECRET, "workspace_id": TEAM}}
UNKNOWN = {"event": "chatPosted", "webhook_id": "x"}
JSON = {"Content-Type": "application/json"}
PLACE = {"project_id": str(uuid4()), "org_id": "acme"}


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    async with Source().serving() as opened:
        opened.answers = story()
        yield opened


@pytest.fixture
async def gallery(database: Database, database_url: str, source: Source) -> AsyncIterator[Gallery]:
    async with serving(database, database_url, source.url) as opened:
        yield opened


@pytest.fixture
async def following(database: Database, sql: Any, keyring: Keyring, source: Source) -> AsyncIterator[House]:
    async with house(database, sql, keyring, source.url) as opened:
        yield opened


@pytest.fixture
async def client(gallery: Gallery) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may do everything."""
    async with gallery.client(await gallery.token()) as opened:
        yield opened


def problem(answer: httpx.Response, name: str) -> dict[str, Any]:
    """The problem that an answer must be."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told: dict[str, Any] = answer.json()
    assert (told["type"], told["status"]) == (PREFIX + name, answer.status_code)
    assert answer.status_code == KINDS[name][0]  # type: ignore[index]
    return told


def address(path: str) -> str:
    """A path with ids of nothing in it."""
    return re.sub(r"\{name\}", "clickup", re.sub(r"\{id\}", str(uuid4()), path))


async def test_every_route_wants_to_know_who_asks_and_what_they_may(gallery: Gallery) -> None:
    """Without a token 401, with one that has no scope 403 naming the scope; there is no route that forgot it."""
    asked = 0
    async with gallery.client() as nobody, gallery.client(await gallery.token("knowledge:read")) as reader:
        for method, path, _ in gallery.operations():
            answer = await nobody.request(method, address(path), content=b"{")
            assert problem(answer, "not-authenticated")["detail"]
            assert answer.headers["www-authenticate"].startswith("Bearer")
            if "/knowledge/" not in path and path != f"{API}/me":
                body = {"json": {"name": "clickup", "settings": {}, "ids": [str(uuid4())]}} if method == "POST" else {}
                if method in ("PUT", "PATCH"):
                    body = {"json": {}}
                if method == "POST" and not path.endswith("/integrations"):
                    body = {"json": {"ids": [str(uuid4())]} if path.endswith(("/replay", "/discard")) else {}}
                refused = problem(await reader.request(method, address(path), **body), "missing-scope")  # type: ignore[arg-type]
                assert re.fullmatch("(integrations|events):(read|write|replay)", refused["missing_scope"])
                asked += 1
    assert asked > 20


async def test_wrong_guesses_shut_nobody_out(gallery: Gallery) -> None:
    """Whoever tries a wrong token on every route sees 401 each time; past the bound 429; a good one passes as ever."""
    good = await gallery.token()
    async with gallery.client("kbi_" + "A" * 43) as guesser, gallery.client(good) as neighbour:
        for method, path, _ in gallery.operations():
            problem(await guesser.request(method, address(path)), "not-authenticated")
        assert (await neighbour.get(f"{API}/me")).status_code == 200
        for _ in range(FAILURES):
            await guesser.get(f"{API}/me")
        answer = await guesser.get(f"{API}/me")
        problem(answer, "too-many-attempts")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await neighbour.get(f"{API}/me")).status_code == 200
        signed_in = await guesser.post("/session", json={"token": good}, headers={"Sec-Fetch-Site": "same-origin"})
        assert signed_in.status_code == 200


async def test_an_integration_from_its_creation_to_its_end(client: httpx.AsyncClient, sql: Any) -> None:
    """Connect, see it masked, change it once and not against a newer state, keep the secret, remove it; all audited."""
    made = await client.post(f"{API}/integrations", params=PLACE, json=NEW)
    assert made.status_code == 201, made.text
    one = made.json()
    assert one["settings"] == {"token": f"{SECRET[:4]}****{SECRET[-4:]}", "workspace_id": TEAM}
    assert (one["state"], one["org_id"]) == ("disabled", "acme")
    problem(await client.post(f"{API}/integrations", params=PLACE, json=NEW), "already-connected")
    there = f"{API}/integrations/clickup"
    etag = (await client.get(there, params=PLACE)).headers["etag"]
    changed = await client.patch(
        there, params=PLACE, json={"enabled": True, "settings": {"comments": False}}, headers={"If-Match": etag}
    )
    assert (changed.status_code, changed.json()["state"]) == (200, "connected")
    problem(
        await client.patch(there, params=PLACE, json={"enabled": False}, headers={"If-Match": etag}),
        "changed-meanwhile",
    )
    masked = changed.json()["settings"]["token"]
    put = await client.put(there, params=PLACE, json={"settings": {"token": masked, "workspace_id": "1"}})
    assert put.json()["settings"] == {"token": masked, "workspace_id": "1"}
    wrong = await client.put(there, params=PLACE, json={"settings": {"token": "", "nonsense": SECRET, "docs": "yes"}})
    faults = {one["where"] for one in problem(wrong, "invalid-settings")["errors"]}
    assert faults == {f"body.settings.{name}" for name in ("token", "nonsense", "docs", "workspace_id")}
    assert SECRET not in wrong.text
    assert (await client.get(f"{there}/public", params=PLACE)).json()["has_configuration"] is True
    assert (await client.delete(there, params=PLACE)).status_code == 204
    problem(await client.get(there, params=PLACE), "not-found")
    audit = (await client.get(f"{API}/audit", params={"org_id": "acme"})).json()["items"]
    actions = [line["action"] for line in audit]
    assert actions[0] == "integration_delete"
    assert {line["origin"] for line in audit} == {"127.0.0.1"}
    assert not await sql.fetchval("SELECT count(*) FROM kb.integrations")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", 4711), ("token", True), ("token", [SECRET]), ("workspace_id", "../../x"), ("workspace_id", True),
        ("workspace_id", "9013 1007"), ("workspace_id", "٣"), ("workspace_id", "9" * 65), ("spaces", ["../../x"]),
        ("spaces", [9013.5]), ("lists", "90131007"), ("docs", "yes"),
    ],
)  # fmt: skip
async def test_settings_are_what_their_description_says(client: httpx.AsyncClient, name: str, value: object) -> None:
    """Or nothing is connected, and the answer names the setting and quotes nothing of it."""
    settings = {"token": SECRET, "workspace_id": TEAM, name: value}
    answer = await client.post(f"{API}/integrations", params=PLACE, json=NEW | {"settings": settings})
    (fault,) = problem(answer, "invalid-settings")["errors"]
    assert fault["where"] == f"body.settings.{name}"
    assert "../" not in answer.text
    assert "4711" not in answer.text
    assert (await client.get(f"{API}/integrations")).json()["items"] == []


async def test_a_connection_is_tried_before_it_is_saved(client: httpx.AsyncClient, source: Source) -> None:
    """A good token lists its workspaces, a wrong workspace says which there are, a refused token what to do."""
    there = f"{API}/integrations/clickup/test"
    found = (await client.post(there, json={"settings": {"token": SECRET}})).json()
    assert (found["success"], found["choices"]["workspaces"]) == (True, [{"id": TEAM, "name": "Acme"}])
    found = (await client.post(there, json={"settings": {"token": SECRET, "workspace_id": "1"}})).json()
    assert not found["success"]
    assert TEAM in found["message"]
    source.answers["user"] = (401, {"err": "Token invalid", "ECODE": "OAUTH_025"})
    found = (await client.post(there, json={"settings": {"token": SECRET, "workspace_id": TEAM}})).json()
    assert not found["success"]
    assert SECRET not in str(found)
    problem(await client.post(there), "not-found")


async def test_a_sync_is_a_job(client: httpx.AsyncClient, following: House, sql: Any) -> None:
    """202 with the job; asking again joins it; it can be seen and cancelled; a disabled integration has none."""
    id_ = following.connected.id
    asked = await client.post(f"{API}/integrations/{id_}/sync", json={"list_ids": ["901305551277"]})
    assert asked.status_code == 202, asked.text
    job = asked.json()
    assert (job["kind"], job["status"], job["options"]) == ("import", "queued", {"lists": ["901305551277"]})
    again = await client.post(f"{API}/integrations/{id_}/sync", json={"list_ids": ["901305551277"]})
    assert again.json()["id"] == job["id"]
    assert (await client.get(asked.headers["location"])).json()["failed"] == []
    assert [one["id"] for one in (await client.get(f"{API}/jobs")).json()["items"]] == [job["id"]]
    cancelled = await client.post(f"{API}/jobs/{job['id']}/cancel")
    assert cancelled.json()["status"] == "cancelled"
    await sql.execute("UPDATE kb.jobs SET status = 'completed'")
    over = problem(await client.post(f"{API}/jobs/{job['id']}/cancel"), "job-over")
    assert (over["title"], over["detail"]) == ("The job is over", "it is completed, and nothing is left to cancel")
    problem(await client.post(f"{API}/integrations/{id_}/sync", json={"kind": "everything"}), "invalid-request")
    await client.patch(f"{API}/integrations/{id_}", json={"enabled": False})
    problem(await client.post(f"{API}/integrations/{id_}/sync"), "disabled")


async def test_the_delivery_log_and_its_stories(client: httpx.AsyncClient, following: House) -> None:
    """Pages by keyset miss nothing and repeat nothing; an event tells what it changed; a replay applies it anew."""
    async with following.consuming():
        await following.deliver(sample("task-status-updated"), sample("task-updated-name"), sample("goal-created"))
        await following.idle()
        first = (await client.get(f"{API}/events", params={"limit": 2})).json()
        rest = (await client.get(f"{API}/events", params={"limit": 2, "cursor": first["next"]})).json()
        events = first["items"] + rest["items"]
        assert len({one["id"] for one in events}) == 3
        assert rest["next"] is None
        assert {one["outcome"] for one in events} == {"applied"}
        await following.deliver(UNKNOWN)
        await following.idle()
        for outcome, many in (("applied", 3), ("failed", 1), ("waiting", 0)):
            of_it = (await client.get(f"{API}/events", params={"outcome": outcome})).json()["items"]
            assert [one["outcome"] for one in of_it] == [outcome] * many
        found = (await client.get(f"{API}/events", params={"subject": f"task/{TASK}"})).json()["items"]
        assert len(found) == 2
        stories = [(await client.get(f"{API}/events/{one['id']}")).json() for one in found]
        assert [row["external_id"] for told in stories for row in told["changed"]].count(TASK) == 1
        assert TASK in stories[0]["deliveries"][0]["payload"]
        assert stories[0]["deliveries"][0]["published_at"]
        replayed = await client.post(f"{API}/events/{found[0]['id']}/replay")
        assert (replayed.status_code, replayed.json()) == (202, {"replayed": 1})
        await following.idle()
    problem(await client.get(f"{API}/events", params={"cursor": "nonsense"}), "invalid-request")
    problem(await client.get(f"{API}/events/{uuid4()}"), "not-found")


async def test_dead_letters_are_grouped_given_back_and_discarded(client: httpx.AsyncClient, following: House) -> None:
    """What nobody understands is a dead letter; by id and by filter it is given back or discarded."""
    async with following.consuming():
        await following.deliver(b"{nonsense", b"[1]", sample("task-updated-name"))
        await following.idle()

        async def count() -> bool:
            return bool((await client.get(f"{API}/dead-letters")).json()["count"] == 2)

        await until(count)
        listed = (await client.get(f"{API}/dead-letters")).json()
        assert sum(group["count"] for group in listed["reasons"]) == 2
        one = listed["items"][0]
        shown = (await client.get(f"{API}/dead-letters/{one['id']}")).json()
        assert shown["payload"] in ("{nonsense", "[1]")
        given = await client.post(f"{API}/dead-letters/{one['id']}/replay")
        assert (given.status_code, given.json()) == (202, {"done": 1, "left": 0})
        await until(count)  # it died again
        assert (await client.delete(f"{API}/dead-letters/{one['id']}")).status_code == 204
        problem(await client.delete(f"{API}/dead-letters/{one['id']}"), "not-found")
        problem(await client.post(f"{API}/dead-letters/discard", json={}), "invalid-request")
        settled = await client.post(f"{API}/dead-letters/discard", json={"consumer": "knowledge"})
        assert settled.json() == {"done": 1, "left": 0}


@pytest.mark.parametrize("words", ["'", "\\", ":*", "((", "!", "a & | b", '"', "-", "x" * 500, "ünï — 🔐", "or"])
async def test_search_takes_any_words(client: httpx.AsyncClient, words: str) -> None:
    """Whatever is asked is words: never an error."""
    assert (await client.get(f"{API}/knowledge/search", params={"q": words})).status_code == 200


async def test_what_is_known_is_found_and_explained(client: httpx.AsyncClient, following: House) -> None:
    """A word's beginning finds the task; its row says where it came from; counts say how much there is."""
    async with following.consuming():
        await following.deliver(sample("task-updated-name"))
        await following.idle()
    title = (await following.object("task", TASK))["title"]
    word = next(word for word in re.findall(r"[A-Za-z]{5,}", title))
    (found,) = (await client.get(f"{API}/knowledge/search", params={"q": word[:4], "type": "task"})).json()["items"]
    assert (found["external_id"], found["title"]) == (TASK, title)
    assert (await client.get(f"{API}/knowledge/objects/{found['id']}")).json()["external_source"] == "clickup"
    (why,) = (await client.get(f"{API}/knowledge/why", params={"object": f"task/{TASK}"})).json()["items"]
    assert why["event"]["type"] == "clickup.task.updated"
    stats = (await client.get(f"{API}/stats")).json()
    assert stats["objects"]["task"]["living"] == 1
    assert len((await client.get(f"{API}/activity")).json()["items"]) == 60


async def test_one_effect_for_one_key(client: httpx.AsyncClient, sql: Any) -> None:
    """The same request gives the same answer, at once or at the same moment; another one with the key is refused."""
    headers = {"Idempotency-Key": "4711"}
    posts = [client.post(f"{API}/integrations", params=PLACE, json=NEW, headers=headers) for _ in range(5)]
    answers = await asyncio.gather(*posts)
    assert {one.status_code for one in answers} <= {201, 409}
    assert [one.status_code for one in answers].count(201) >= 1
    again = await client.post(f"{API}/integrations", params=PLACE, json=NEW, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert await sql.fetchval("SELECT count(*) FROM kb.integrations") == 1
    other = await client.post(f"{API}/integrations", params=PLACE, json=NEW | {"enabled": True}, headers=headers)
    problem(other, "key-reused")


async def test_a_tenant_sees_and_changes_nothing_of_another(
    gallery: Gallery, following: House, database: Database, keyring: Keyring
) -> None:
    """With a token of another organisation no route shows or changes anything, by name or by id."""
    async with following.consuming():
        await following.deliver(sample("task-updated-name"), b"{nonsense")
        await following.idle()
    theirs = following.connected
    mine = await connect(database, keyring, connected=Connected(org_id="mine", webhook_id="other"))
    admin = gallery.client(await gallery.token())
    asked = (await admin.post(f"{API}/integrations/{theirs.id}/sync", json={})).json()
    event = (await admin.get(f"{API}/events")).json()["items"][0]["id"]
    dead = (await admin.get(f"{API}/dead-letters")).json()["items"][0]["id"]
    found = (await admin.get(f"{API}/knowledge/why", params={"object": f"task/{TASK}"})).json()["items"][0]["object"][
        "id"
    ]
    before = await following.outline()
    async with gallery.client(await gallery.token(org="mine")) as stranger:
        for path in ("", f"/{theirs.id}", f"/{theirs.id}/webhook", f"/{theirs.id}/structure", f"/{theirs.id}/public"):
            answer = await stranger.get(f"{API}/integrations{path}")
            assert str(theirs.id) not in answer.text
            assert answer.status_code == (404 if path else 200)
        ids = {"events": event, "dead-letters": dead, "jobs": asked["id"], "knowledge": found}
        tried = 0
        for method, path, _ in gallery.operations():  # every one there is, so that none is forgotten
            filled = path.replace("{name}", str(theirs.id)).replace("{id}", str(ids.get(path.split("/")[3])))
            content = b"" if method in ("GET", "DELETE") else b"{}"
            asks = {"object": str(found), "q": "a"}
            answer = await stranger.request(method, filled, params=asks, content=content, headers=JSON)
            assert not any(str(one) in answer.text for one in (theirs.id, *ids.values()))
            if filled != path and "available" not in path:
                problem(answer, "not-found")
                tried += 1
        assert tried >= 17
        problem(await stranger.get(f"{API}/knowledge/why?object={found}"), "not-found")
        for path in ("jobs", "events", "dead-letters", "knowledge/search?q=a", "audit"):
            assert (await stranger.get(f"{API}/{path}")).json()["items"] == []
        bulk = await stranger.post(f"{API}/dead-letters/discard", json={"all": True})
        assert bulk.json() == {"done": 0, "left": 0}
        assert (await stranger.post(f"{API}/events/replay", json={"ids": [event]})).json() == {"replayed": 0}
        stats = (await stranger.get(f"{API}/stats")).json()
        assert (stats["integrations"], stats["objects"]) == (1, {})
        problem(await stranger.get(f"{API}/integrations", params={"org_id": "org"}), "out-of-reach")
        assert (await stranger.get(f"{API}/integrations/{mine.id}")).status_code == 200
    assert await following.outline() == before
    assert (await admin.get(f"{API}/jobs/{asked['id']}")).json()["status"] == "queued"
    await admin.aclose()


@pytest.mark.parametrize(
    "role", ["kb_ingest", "kb_knowledge", "kb_sync_state", "kb_journal", "kb_imports", "kb_upkeep", "kb_admin"]
)
async def test_row_level_security_is_the_gallerys_alone(
    database_url: str, connected: Connected, role: str, sql: Any
) -> None:
    """Programs see every row as ever; the gallery sees none without a tenant, and only the tenant's with one."""
    guarded = await sql.fetch(
        "SELECT relname FROM pg_class WHERE relrowsecurity AND relkind IN ('r', 'p')"
        " AND has_any_column_privilege($1, oid, 'SELECT')", role,
    )  # fmt: skip
    assert guarded
    for table in (f"kb.{row['relname']}" for row in guarded):
        every = await sql.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  a name from the catalogue
        async with sql.transaction():
            await sql.execute(f"SET LOCAL ROLE {role}")
            assert await sql.fetchval(f"SELECT count(*) FROM {table}") == every  # noqa: S608
    gallery = await Database(database_url, program="test", role="kb_gallery").open()
    assert not await gallery.fetch("gallery_reach")
    assert not await gallery.of("other", None).fetch("gallery_reach")
    assert not await gallery.of(None, UUID(int=1)).fetch("gallery_reach")
    for seen in (gallery.of(None, None), gallery.of(connected.org_id, None), gallery.of("org", connected.project_id)):
        assert [row["id"] for row in await seen.fetch("gallery_reach")] == [connected.id]
    await gallery.close()


async def test_the_gallery_takes_back_no_claim_of_another_tenant(database_url: str, following: House, sql: Any) -> None:
    """Nor of another consumer, nor in nobody's name; in its own tenant's name it does."""
    (event,) = await following.deliver(sample("task-updated-name"))
    async with following.consuming():
        await following.idle()
    await sql.execute("INSERT INTO kb.inbox VALUES ('sync-state', $1), ('knowledge', $2)", event.id, uuid4())
    gallery = await Database(database_url, program="test", role="kb_gallery").open()
    everything = [row["event_id"] for row in await sql.fetch("SELECT event_id FROM kb.inbox")]
    for other in (gallery, gallery.of("other", None), gallery.of(None, UUID(int=1))):
        assert await other.execute("claims_drop", "knowledge", everything) == 0
    mine = gallery.of(following.connected.org_id, following.connected.project_id)
    assert await mine.execute("claims_drop", "sync-state", everything) == 0
    assert await mine.execute("claims_drop", "knowledge", everything) == 1
    await gallery.close()


async def test_the_gallery_reads_of_a_token_what_recognises_it(sql: Any) -> None:
    """Not who made it and when; and of nothing that is sealed or kept by hash can it make another one."""
    may = {
        row["column_name"]: row["privilege_type"]
        for row in await sql.fetch(
            "SELECT column_name, string_agg(privilege_type, ' ' ORDER BY privilege_type) AS privilege_type"
            " FROM information_schema.column_privileges"
            " WHERE grantee = 'kb_gallery' AND table_schema = 'kb' AND table_name = 'api_tokens' GROUP BY column_name"
        )
    }
    read = ("id", "name", "hash", "scopes", "org_id", "project_id", "expires_at", "revoked_at")
    assert may == dict.fromkeys(read, "SELECT") | {"last_used_at": "SELECT UPDATE"}


async def test_secrets_never_leave(client: httpx.AsyncClient, gallery: Gallery, following: House) -> None:
    """What was planted is in no answer, no log line and no metric of a whole scenario."""
    webhook = {"id": "hook-1", "secret": "PLANTED0WEBHOOK0SECRET0000000000"}
    said: list[str] = []
    structlog.configure(cache_logger_on_first_use=False)
    with capture_logs() as logs:
        async with following.consuming():
            said.append((await client.post(f"{API}/integrations", params=PLACE, json=NEW | {"webhook": webhook})).text)
            await following.deliver(sample("task-updated-name"), b"{nonsense")
            await following.idle()
            params = {"q": "a", "object": f"task/{TASK}", **PLACE}
            said += [(await client.get(address(path), params=params)).text for _, path, _ in gallery.operations()]
            for body in (
                {"settings": {"token": SECRET + "\n"}},
                {"settings": {"nonsense": SECRET}},
                {"enabled": SECRET},
            ):
                said.append((await client.patch(f"{API}/integrations/clickup", params=PLACE, json=body)).text)
            said.append((await client.post(f"{API}/integrations/clickup/test", params=PLACE)).text)
        said.append((await client.get("/metrics")).text)
        said.append((await client.get("/openapi.json")).text)
    token = client.headers["authorization"].removeprefix("Bearer ")
    everything = "\n".join([*said, *map(str, logs)])
    for secret in (SECRET, webhook["secret"], TOKEN, token, following.connected.secret):
        assert secret not in everything.replace(f"{SECRET[:4]}****{SECRET[-4:]}", "")


async def test_what_is_wrong_is_told_the_same_way_everywhere(client: httpx.AsyncClient) -> None:
    """Unknown paths, methods, bodies and sizes are problems, and nothing of the input comes back."""
    problem(await client.get(f"{API}/nowhere"), "not-found")
    problem(await client.post(f"{API}/stats"), "method-not-allowed")
    for broken in (b"{" + SECRET.encode(), b'{"name": "clickup",}', b"\xff", b"[" * 100_000):
        answer = await client.post(f"{API}/integrations", content=broken, headers=JSON)
        assert problem(answer, "not-json")["detail"] == "the body cannot be read as JSON"
    problem(await client.post(f"{API}/integrations", json=[SECRET]), "invalid-request")
    problem(await client.post(f"{API}/integrations", content=b"x" * 2_000_000), "too-large")
    for hostile in ("integrations/a%00", "integrations?name=%00", "knowledge/search?q=%00"):
        problem(await client.get(f"{API}/{hostile}"), "invalid-request")
    for when in ("2026-11-25T10:00:00", "0.5", "2026-11-25", "yesterday"):
        problem(await client.get(f"{API}/events?since={when}"), "invalid-request")
    for when in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"):
        assert (await client.get(f"{API}/events?since={when}&until={when}")).json()["items"] == []
    bodies: list[dict[str, Any]] = [{"all": 0}, {"all": False}, {}, {"ids": []}]
    for body in bodies:
        problem(await client.post(f"{API}/dead-letters/discard", json=body), "invalid-request")
    problem(await client.get(f"{API}/integrations/{'x' * 201}"), "invalid-request")
    for method, path, allowed in (
        ("OPTIONS", "integrations/clickup", "DELETE, GET, PATCH, PUT"),
        ("PUT", "integrations", "GET, POST"),
        ("GET", "events/replay", "POST"),
        ("HEAD", f"dead-letters/{uuid4()}", "DELETE, GET"),
    ):
        answer = await client.request(method, f"{API}/{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    for media_type in ("text/plain", "application/xml", "application/x-www-form-urlencoded"):
        answer = await client.post(f"{API}/integrations", content=b"name=clickup", headers={"Content-Type": media_type})
        problem(answer, "invalid-request")
    half = b'{"name": "clickup", "settings": {"\\ud800": 1}}'
    problem(await client.post(f"{API}/integrations", content=half, headers=JSON), "invalid-request")
    unknown = await client.post(f"{API}/integrations", params=PLACE, json=NEW | {"tokne": SECRET})
    assert problem(unknown, "invalid-request")["errors"][0]["where"] == "body.tokne"
    assert SECRET not in unknown.text
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    assert "default-src 'none'" in (await client.get("/healthz")).headers["content-security-policy"]
