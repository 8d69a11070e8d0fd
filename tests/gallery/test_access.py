"""Who is recognised: tokens, sessions, caches, and how often one may guess. On a real database, under its role."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from gallery import access
from gallery.access import FAILURES, Attempts, Gatekeeper
from gallery.identity import NotRecognised, Principal
from schema import tokens
from schema.postgres import Database
from schema.tokens import NewToken

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def on(self, **passed: float) -> None:
        self.time += timedelta(**passed)


class Counted(Database):
    """A database that counts its statements."""

    count = 0

    async def fetchrow(self, name: str, *arguments: object, within: float = 10) -> Any:
        self.count += 1
        return await super().fetchrow(name, *arguments, within=within)


@pytest.fixture
async def counted(database_url: str) -> AsyncIterator[Counted]:
    opened = Counted(database_url, program="gallery", role="kb_gallery", max_size=4)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(counted: Counted, clock: Clock) -> Gatekeeper:
    return Gatekeeper(counted, None, clock)


async def made(
    database: Database, *, name: str = "ci", scopes: Sequence[str] = ("events:read",),
    expires_at: datetime | None = None, org: str | None = None, project: UUID | None = None,
) -> tuple[UUID, str]:  # fmt: skip
    """A token: its id and itself."""
    id_, text = uuid4(), tokens.text(os.urandom(32))
    new = NewToken(
        id=id_, name=name, hash=tokens.digest(text), scopes=scopes, org_id=org, project_id=project,
        created_at=START, created_by="test", expires_at=expires_at,
    )  # fmt: skip
    await tokens.create(database, new)
    return id_, text


async def refused(gate: Gatekeeper, credential: str) -> str:
    with pytest.raises(NotRecognised) as caught:
        await gate.bearer(credential)
    assert not credential or credential not in f"{caught.value} {caught.value!r}"
    return caught.value.reason


async def over(gate: Gatekeeper, cookie: str) -> str:
    with pytest.raises(NotRecognised) as caught:
        await gate.session(cookie)
    assert not cookie or cookie not in f"{caught.value} {caught.value!r}"
    return caught.value.reason


async def test_a_token_is_recognised_with_what_it_may(gate: Gatekeeper, database: Database) -> None:
    """Its name, scopes and restrictions; a scope that nobody knows any more is none."""
    project = uuid4()
    id_, text = await made(
        database, scopes=["events:read", "knowledge:read", "long:gone"], org="acme", project=project,
        expires_at=START + timedelta(days=1),
    )  # fmt: skip
    assert await gate.bearer(text) == Principal(
        subject="token:ci", name="ci", scopes=frozenset({"events:read", "knowledge:read"}), org_id="acme",
        project_id=project, token_id=id_, expires_at=START + timedelta(days=1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        ("", "missing"),
        ("kbi_short", "malformed"),
        ("kbi_" + "A" * 42, "malformed"),
        ("kbi_" + "A" * 44, "malformed"),
        ("kbi_" + "A" * 42 + "é", "malformed"),
        ("kbi_" + "A" * 43 + "\n", "malformed"),
        ("KBI_" + "A" * 43, "malformed"),
        ("pk_48213377_SECRET", "malformed"),
        ("a" * 100_000, "malformed"),
        ("\ud800", "malformed"),
        ("kbi_" + "A" * 43, "unknown"),
        ("eyJhbGciOiJub25lIn0.e30.", "invalid"),
    ],
)
async def test_anything_else_is_refused_by_its_reason(gate: Gatekeeper, credential: str, reason: str) -> None:
    """The message helps and quotes nothing of it."""
    assert await refused(gate, credential) == reason


async def test_a_token_ends_when_it_was_to_end(gate: Gatekeeper, database: Database, clock: Clock) -> None:
    """To the second, even if it was recognised a moment ago."""
    _, text = await made(database, expires_at=START + timedelta(seconds=2))
    await gate.bearer(text)
    clock.on(seconds=2)
    assert await refused(gate, text) == "expired"


async def test_a_revoked_token_is_refused_within_five_seconds(
    gate: Gatekeeper, database: Database, clock: Clock
) -> None:
    """Who was recognised lately may pass that long, nobody longer; revoking again changes nothing."""
    id_, text = await made(database)
    await gate.bearer(text)
    assert await tokens.revoke(database, id_, at=clock())
    clock.on(seconds=4.9)
    await gate.bearer(text)
    clock.on(seconds=0.1)
    assert await refused(gate, text) == "revoked"
    assert await tokens.revoke(database, id_, at=clock())
    assert not await tokens.revoke(database, uuid4(), at=clock())
    assert (await tokens.everything(database))[0]["revoked_at"] == START


async def test_a_flood_costs_one_question_in_five_seconds(
    gate: Gatekeeper, counted: Counted, database: Database, clock: Clock
) -> None:
    """For a good token and for an unknown one."""
    _, good = await made(database)
    unknown = tokens.text(os.urandom(32))
    for _ in range(50):
        await gate.bearer(good)
        assert await refused(gate, unknown) == "unknown"
    assert counted.count == 2
    clock.on(seconds=5)
    await gate.bearer(good)
    assert await refused(gate, unknown) == "unknown"
    assert counted.count == 4


async def test_a_token_that_was_unknown_is_found_soon(gate: Gatekeeper, database: Database, clock: Clock) -> None:
    """Remembering that nobody has it lasts as short as remembering who has."""
    text = tokens.text(bytes(32))
    assert await refused(gate, text) == "unknown"
    await database.execute(
        "token_create", uuid4(), "late", tokens.digest(text), ["events:read"], None, None, START, "test", None
    )
    clock.on(seconds=5)
    assert (await gate.bearer(text)).name == "late"


async def test_memory_is_bounded_and_guesses_push_nobody_out(
    gate: Gatekeeper, counted: Counted, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are tried."""
    monkeypatch.setattr(access, "MOST_CACHED", 16)
    _, good = await made(database)
    await gate.bearer(good)
    for _ in range(40):
        await refused(gate, tokens.text(os.urandom(32)))
    assert (len(gate._unknown), len(gate._known)) == (16, 1)
    asked = counted.count
    await gate.bearer(good)
    assert counted.count == asked


async def test_the_last_use_is_written_once_a_minute(
    gate: Gatekeeper, database: Database, clock: Clock, sql: Any
) -> None:
    """And never for a token that was refused."""
    _, text = await made(database)
    _, ended = await made(database, name="ended", expires_at=START)
    assert await refused(gate, ended) == "expired"
    used = {}
    for seconds in (0, 30, 20, 10, 10):
        clock.on(seconds=seconds)
        await gate.bearer(text)
        used[clock.time - START] = (
            await sql.fetchval("SELECT last_used_at FROM kb.api_tokens WHERE name = 'ci'") - START
        )
    minute = timedelta(minutes=1)
    assert used == {moment: timedelta() if moment < minute else minute for moment in used}
    assert len(used) == 5
    assert await sql.fetchval("SELECT last_used_at FROM kb.api_tokens WHERE name = 'ended'") is None


async def test_a_session_is_its_token(gate: Gatekeeper, database: Database, sql: Any) -> None:
    """It may what the token may; the cookie is in no row."""
    _, text = await made(database, org="acme")
    principal = await gate.bearer(text)
    cookie = await gate.begin_session(principal)
    assert await gate.session(cookie) == principal
    rows = str([await sql.fetch("SELECT * FROM kb.sessions"), await sql.fetch("SELECT * FROM kb.api_tokens")])
    assert cookie not in rows
    assert text not in rows
    assert text.removeprefix("kbi_") not in rows


async def test_a_session_ends_with_its_token(gate: Gatekeeper, database: Database, clock: Clock, sql: Any) -> None:
    """At once when it is revoked or deleted; when it expires, then."""
    revoked, one = await made(database)
    deleted, two = await made(database, name="two")
    _, three = await made(database, name="three", expires_at=START + timedelta(minutes=30))
    cookies = [await gate.begin_session(await gate.bearer(text)) for text in (one, two, three)]
    await tokens.revoke(database, revoked, at=clock())
    await sql.execute("DELETE FROM kb.api_tokens WHERE id = $1", deleted)
    assert [await over(gate, cookie) for cookie in cookies[:2]] == ["revoked", "unknown"]
    clock.on(minutes=29)
    await gate.session(cookies[2])
    clock.on(minutes=1)
    assert await over(gate, cookies[2]) == "expired"
    assert await sql.fetchval("SELECT count(*) FROM kb.sessions") == 0


async def test_a_session_ends_when_idle_and_in_any_case(gate: Gatekeeper, database: Database, clock: Clock) -> None:
    """After an hour without use, and after twelve with."""
    principal = await gate.bearer((await made(database))[1])
    idle, busy = await gate.begin_session(principal), await gate.begin_session(principal)
    for _ in range(12):
        clock.on(minutes=59)
        await gate.session(busy)
    assert await over(gate, idle) == "expired"
    clock.on(minutes=12)
    assert await over(gate, busy) == "expired"
    assert await over(gate, busy) == "unknown"


async def test_a_session_without_token_remembers_who_it_was(gate: Gatekeeper, clock: Clock) -> None:
    """As a JWT began it: it ends with the JWT."""
    end = START + timedelta(minutes=5)
    principal = Principal(
        subject="oidc:7",
        name="Nadia",
        scopes=frozenset({"events:read"}),
        org_id="acme",
        project_id=uuid4(),
        expires_at=end,
    )
    cookie = await gate.begin_session(principal)
    assert await gate.session(cookie) == principal
    clock.time = end
    assert await over(gate, cookie) == "expired"


async def test_signing_out_ends_a_session(gate: Gatekeeper, database: Database) -> None:
    """Twice is once, and nonsense is nothing."""
    cookie = await gate.begin_session(await gate.bearer((await made(database))[1]))
    for one in (cookie, cookie, "", "nonsense", "\ud800"):
        await gate.end_session(one)
    assert await over(gate, cookie) == "unknown"


@pytest.mark.parametrize(("cookie", "reason"), [("", "missing"), ("x", "malformed"), ("A" * 43, "unknown")])
async def test_a_cookie_that_is_none(gate: Gatekeeper, cookie: str, reason: str) -> None:
    """By its reason."""
    assert await over(gate, cookie) == reason


async def test_sessions_that_are_over_are_forgotten(
    gate: Gatekeeper, database: Database, clock: Clock, sql: Any
) -> None:
    """By whoever signs in next."""
    principal = await gate.bearer((await made(database))[1])
    for _ in range(3):
        await gate.begin_session(principal)
    clock.on(hours=1)
    await gate.begin_session(principal)
    assert await sql.fetchval("SELECT count(*) FROM kb.sessions") == 1


FORBIDDEN = [
    ("kb_gallery", "INSERT INTO kb.api_tokens SELECT * FROM kb.api_tokens"),
    ("kb_gallery", "UPDATE kb.api_tokens SET revoked_at = NULL"),
    ("kb_gallery", "UPDATE kb.api_tokens SET scopes = '{}'"),
    ("kb_gallery", "DELETE FROM kb.api_tokens"),
    ("kb_gallery", "UPDATE kb.audit_log SET actor = ''"),
    ("kb_gallery", "DELETE FROM kb.audit_log"),
    ("kb_gallery", "SELECT * FROM kb.webhook_secrets"),
    ("kb_admin", "DELETE FROM kb.api_tokens"),
    ("kb_admin", "SELECT * FROM kb.sessions"),
    ("kb_ingest", "SELECT * FROM kb.api_tokens"),
    ("kb_journal", "SELECT * FROM kb.sessions"),
]  # fmt: skip


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN)
async def test_roles_reach_only_what_they_need(sql: Any, role: str, statement: str) -> None:
    """The gallery makes no token and mends none; nobody else sees sessions."""
    await sql.execute(f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await sql.execute(statement)


def test_so_many_failures_a_minute() -> None:
    """Then it waits, and evenly over the minute more are allowed; nobody else waits, and waiting costs nothing."""
    attempts, each = Attempts(), timedelta(minutes=1) / FAILURES
    for _ in range(FAILURES):
        assert attempts.failed("192.0.2.1", START) == 0
    for _ in range(3):
        assert attempts.failed("192.0.2.1", START) == pytest.approx(each.total_seconds())
    assert attempts.failed("192.0.2.2", START) == 0
    assert attempts.failed("192.0.2.1", START + each * 0.9) > 0
    assert attempts.failed("192.0.2.1", START + each * 1.1) == 0
    assert attempts.failed("192.0.2.1", START + each * 1.1) > 0
    assert attempts.failed("192.0.2.1", START - timedelta(hours=1)) > 0  # a clock set back


def test_attempts_of_one_ipv6_network_are_one_address() -> None:
    """Which is what one client gets; IPv4 in IPv6 is IPv4."""
    attempts = Attempts()
    for turn in range(FAILURES):
        attempts.failed(f"2001:db8::{turn:x}", START)
        attempts.failed("::ffff:192.0.2.1", START)
    assert attempts.failed("2001:db8::ffff:1", START) > 0
    assert attempts.failed("2001:db8:0:1::1", START) == 0
    assert attempts.failed("192.0.2.1", START) > 0
    assert attempts.failed("192.0.2.2", START) == 0
    assert attempts.failed("unix:", START) == 0


def test_attempts_remember_so_many_addresses() -> None:
    """And no more, however many there are."""
    attempts = Attempts()
    for turn in range(access.MOST_ADDRESSES + 100):
        attempts.failed(f"host {turn}", START)
    assert len(attempts) == access.MOST_ADDRESSES
