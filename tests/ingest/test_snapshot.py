"""What ingest knows of the integrations: how soon a change is known, and that nobody is read for another's sake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ingest import snapshot
from ingest.snapshot import Known, Secret, Secrets, Snapshot
from integrations.sealing import Keyring
from schema.errors import DatabaseUnavailable
from schema.postgres import Database, Row
from tests.conftest import SECRET, WEBHOOK, Connected, connect, until
from tests.proxy import Proxy

OTHERS = 3


class Asked(Database):
    """A database that notes what it is asked, and answers the questions in `silent` with `error`."""

    def __init__(self, url: str) -> None:
        super().__init__(url, program="ingest", role="kb_ingest")
        self.compared: list[list[Any]] = []
        self.pages: list[list[Any]] = []
        self.silent: Callable[[], bool] = bool
        self.error: Exception = DatabaseUnavailable("away")

    async def fetch(self, name: str, *arguments: Any, within: float = 10.0) -> list[Row]:
        (self.compared if name == "webhook_marks" else self.pages).append([*arguments[0]])
        if self.silent():
            raise self.error
        return await super().fetch(name, *arguments, within=within)

    @property
    def read(self) -> list[UUID]:
        """Whoever was read, as often as it was."""
        return [id_ for page in self.pages for id_ in page]

    def forget(self) -> None:
        """What was asked so far."""
        self.compared.clear()
        self.pages.clear()


@pytest.fixture
async def asked(database_url: str) -> AsyncIterator[Asked]:
    opened = Asked(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def others(database: Database, keyring: Keyring) -> list[Connected]:
    """Beside the connected one, behind the same hook."""
    return [await connect(database, keyring) for _ in range(OTHERS)]


@pytest.fixture
async def secrets(
    asked: Asked, keyring: Keyring, connected: Connected, others: list[Connected]
) -> AsyncIterator[Secrets]:
    """They know all, listen, and were told of nothing since."""
    one = Secrets(asked, keyring)
    await one.start(within=10)
    await settled(asked)
    assert sorted(asked.read) == sorted([connected.id, *(other.id for other in others)])
    asked.forget()
    yield one
    await one.close()


async def settled(asked: Asked) -> None:
    """Once it listens, which it begins with another look: nothing was missed in between."""
    await until(lambda: asked.compared.count([]) >= 2)
    await asyncio.sleep(0.1)


def known(secrets: Secrets, id_: UUID) -> tuple[bool, list[str]] | None:
    """Whether it is enabled, and its valid secrets; None: unknown."""
    assert secrets.current is not None
    one = secrets.current.get(id_)
    return None if one is None else (one.enabled, sorted(one.valid(datetime.now(UTC))))


ADD = """INSERT INTO kb.webhook_secrets (id, integration_id, webhook_id, secret_sealed, expires_at)
    VALUES ($1, $2, 'another', $3, $4)"""


async def add(sql: Any, keyring: Keyring, id_: UUID, secret: str, *, lasts: timedelta | None = None) -> None:
    """One more secret."""
    secret_id, until_ = uuid4(), None if lasts is None else datetime.now(UTC) + lasts
    sealed = keyring.seal(secret.encode(), row=f"webhook_secrets/{secret_id}")
    await sql.execute(ADD, secret_id, id_, sealed, until_)


Change = Callable[[Any, Keyring, UUID], Any]
CHANGES: dict[str, tuple[Change, tuple[bool, list[str]] | None]] = {
    "disabled": (
        lambda sql, _k, id_: sql.execute("UPDATE kb.integrations SET enabled = false WHERE id = $1", id_),
        (False, [SECRET]),
    ),
    "a secret more": (lambda sql, keyring, id_: add(sql, keyring, id_, "new"), (True, [SECRET, "new"])),
    "a secret for a while": (
        lambda sql, keyring, id_: add(sql, keyring, id_, "new", lasts=timedelta(hours=1)),
        (True, [SECRET, "new"]),
    ),
    "expired": (
        lambda sql, _k, id_: sql.execute(
            "UPDATE kb.webhook_secrets SET expires_at = now() - interval '1 s' WHERE integration_id = $1", id_
        ),
        (True, []),
    ),
    "without secret": (
        lambda sql, _k, id_: sql.execute("DELETE FROM kb.webhook_secrets WHERE integration_id = $1", id_),
        (True, []),
    ),
    "deleted": (lambda sql, _k, id_: sql.execute("DELETE FROM kb.integrations WHERE id = $1", id_), None),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_known_by_reading_that_one(
    secrets: Secrets, asked: Asked, connected: Connected, others: list[Connected], keyring: Keyring, sql: Any,
    change: str,
) -> None:  # fmt: skip
    """Once, and without a look at the others, who stay as they are."""
    make, expected = CHANGES[change]
    await make(sql, keyring, connected.id)
    await until(lambda: known(secrets, connected.id) == expected, within=5)
    await asyncio.sleep(0.2)
    assert asked.pages == [[connected.id]]
    assert asked.compared == []
    assert [known(secrets, other.id) for other in others] == [(True, [SECRET])] * OTHERS


async def test_a_new_one_is_known_by_reading_it(
    secrets: Secrets, asked: Asked, database: Database, keyring: Keyring
) -> None:
    """Also by its hook."""
    new = await connect(database, keyring, connected=Connected(webhook_id="b" * 36))
    await until(lambda: known(secrets, new.id) == (True, [SECRET]), within=5)
    assert set(asked.read) == {new.id}
    assert secrets.current is not None
    assert [one.id for one in secrets.current.behind("clickup", ["b" * 36])] == [new.id]


async def test_a_secret_that_moves_is_known_of_both(
    secrets: Secrets, asked: Asked, connected: Connected, others: list[Connected], sql: Any
) -> None:
    """Of whoever had it, and of whoever has it now."""
    to = others[0].id
    await sql.execute("UPDATE kb.webhook_secrets SET integration_id = $2 WHERE integration_id = $1", connected.id, to)
    both = {connected.id: (True, []), to: (True, [SECRET, SECRET])}
    await until(lambda: {id_: known(secrets, id_) for id_ in both} == both, within=5)
    assert set(asked.read) == {connected.id, to}


async def test_secrets_sealed_anew_stay_good(
    secrets: Secrets, asked: Asked, connected: Connected, keyring: Keyring, sql: Any
) -> None:
    """A rotation of keys changes what is sealed, not what is in it: read once more, and compared no more than that."""
    row = await sql.fetchrow("SELECT id FROM kb.webhook_secrets WHERE integration_id = $1", connected.id)
    sealed = keyring.seal(SECRET.encode(), row=f"webhook_secrets/{row['id']}")
    await sql.execute("UPDATE kb.webhook_secrets SET secret_sealed = $2 WHERE id = $1", row["id"], sealed)
    await until(lambda: asked.pages == [[connected.id]], within=5)
    await sql.execute("NOTIFY kb_integrations")
    await until(lambda: asked.compared == [[]], within=5)
    await asyncio.sleep(0.2)
    assert asked.pages == [[connected.id]]
    assert known(secrets, connected.id) == (True, [SECRET])


async def test_many_changes_at_once_are_read_page_by_page(
    secrets: Secrets, asked: Asked, database: Database, keyring: Keyring, sql: Any, monkeypatch: Any
) -> None:
    """Each once, several in one question, and never more than a page."""
    monkeypatch.setattr(snapshot, "PAGE", 10)
    many = {(await connect(database, keyring)).id for _ in range(25)}
    await until(lambda: all(known(secrets, id_) for id_ in many))
    await asyncio.sleep(0.2)
    asked.forget()
    await sql.execute("UPDATE kb.integrations SET enabled = false WHERE id = ANY($1)", many)
    await until(lambda: all(known(secrets, id_) == (False, [SECRET]) for id_ in many), within=5)
    assert sorted(asked.read) == sorted(many)
    assert max(map(len, asked.pages)) <= 10
    assert len(asked.pages) < 10


@pytest.mark.parametrize("change", CHANGES)
async def test_what_nobody_was_told_of_is_found_by_the_timer(
    secrets: Secrets, asked: Asked, connected: Connected, others: list[Connected], keyring: Keyring, sql: Any,
    monkeypatch: Any, change: str,
) -> None:  # fmt: skip
    """However often it is told of others meanwhile; turns without a change read nobody."""
    make, expected = CHANGES[change]
    monkeypatch.setattr(snapshot, "REFRESH_SECONDS", 0.5)
    await sql.execute("NOTIFY kb_integrations")  # the next turn is due soon
    await until(lambda: len(asked.compared) >= 3)
    assert asked.compared == [[]] * len(asked.compared)
    assert asked.read == []
    await sql.execute("SET session_replication_role = replica")  # no triggers: lost, as while nobody listened
    if change == "deleted":
        await sql.execute("DELETE FROM kb.webhook_secrets WHERE integration_id = $1", connected.id)  # nor a cascade
    await make(sql, keyring, connected.id)
    until_ = asyncio.get_running_loop().time() + 5
    while known(secrets, connected.id) != expected:
        assert asyncio.get_running_loop().time() < until_
        await sql.execute(f"NOTIFY kb_integrations, '{others[0].id}'")
        await asyncio.sleep(0.1)
    assert asked.read.count(connected.id) <= 2  # deleted in two steps
    assert set(asked.read) == {connected.id, others[0].id}


@pytest.mark.parametrize("payload", ["", "everything"])
async def test_a_message_without_an_id_means_everything(
    secrets: Secrets, asked: Asked, connected: Connected, sql: Any, payload: str
) -> None:
    """As triggers before migration 0014 send it: compared at once, and whoever differs is read."""
    await sql.execute("SET session_replication_role = replica")
    await sql.execute("UPDATE kb.integrations SET enabled = false WHERE id = $1", connected.id)
    await sql.execute(f"NOTIFY kb_integrations, '{payload}'")
    await until(lambda: known(secrets, connected.id) == (False, [SECRET]), within=5)
    assert asked.read == [connected.id]


async def test_what_changed_while_the_database_was_out_of_reach_is_known_when_it_is_back(
    database_url: str, keyring: Keyring, connected: Connected, others: list[Connected], sql: Any
) -> None:
    """Until then the last knowledge is good."""
    store = await Proxy(database_url).mend()
    asked = await Asked(store.url).open()
    one = Secrets(asked, keyring)
    await one.start(within=10)
    await settled(asked)
    asked.forget()
    await store.cut()
    await sql.execute("UPDATE kb.integrations SET enabled = false WHERE id = $1", connected.id)
    await sql.execute("DELETE FROM kb.integrations WHERE id = $1", others[0].id)
    await asyncio.sleep(0.3)
    assert [known(one, connected.id), known(one, others[0].id)] == [(True, [SECRET])] * 2
    await store.mend()
    await until(lambda: known(one, connected.id) == (False, [SECRET]) and known(one, others[0].id) is None)
    assert set(asked.read) == {connected.id, others[0].id}
    await one.close()
    await asked.close()
    await store.cut()


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), ValueError("a bug")], ids=["away", "a bug"])
async def test_what_could_not_be_read_is_read_at_the_next_turn(
    secrets: Secrets, asked: Asked, connected: Connected, sql: Any, monkeypatch: Any, error: Exception
) -> None:
    """It was told of only once, and the database was away just then, or something else is wrong."""
    monkeypatch.setattr(snapshot, "REFRESH_SECONDS", 0.5)
    asked.error = error
    asked.silent = lambda: True
    await sql.execute("UPDATE kb.integrations SET enabled = false WHERE id = $1", connected.id)
    await until(lambda: asked.read == [connected.id])
    asked.silent = bool
    await until(lambda: known(secrets, connected.id) == (False, [SECRET]), within=5)


async def test_a_start_goes_on_where_it_was_interrupted(
    asked: Asked, keyring: Keyring, connected: Connected, others: list[Connected], monkeypatch: Any
) -> None:
    """Nothing is known until everything is; `loaded` is called once, before that."""
    monkeypatch.setattr(snapshot, "PAGE", 2)
    asked.silent = lambda: len(asked.pages) == 2
    at: list[Snapshot | None] = []
    one = Secrets(asked, keyring, loaded=lambda: at.append(one.current))
    await one.start(within=0.5)
    assert one.current is None
    assert at == []
    asked.silent = bool
    await until(lambda: one.current is not None)
    assert at == [None]
    assert len(asked.read) == len(others) + 1 + 2  # one page twice
    assert all(known(one, each.id) == (True, [SECRET]) for each in [connected, *others])
    await one.close()


async def test_a_secret_that_does_not_open_is_said_once(
    secrets: Secrets, asked: Asked, connected: Connected, sql: Any
) -> None:
    """It counts for nothing, its hook still leads to its integration, and mended it counts."""
    row = await sql.fetchrow("SELECT * FROM kb.webhook_secrets WHERE integration_id = $1", connected.id)
    put = "UPDATE kb.webhook_secrets SET secret_sealed = $2 WHERE id = $1"
    with capture_logs() as logs:
        await sql.execute(put, row["id"], b"kb1 altered")
        await until(lambda: known(secrets, connected.id) == (True, []), within=5)
        for turn in range(1, 4):
            await sql.execute("NOTIFY kb_integrations")
            await until(lambda turn=turn: len(asked.compared) >= turn)  # type: ignore[misc]
    assert [log["integration_id"] for log in logs if log["event"] == "ingest.secret_unusable"] == [str(connected.id)]
    assert secrets.current is not None
    found = {one.id: one.unusable for one in secrets.current.behind("clickup", [WEBHOOK])}
    assert (len(found), found[connected.id], sum(found.values())) == (OTHERS + 1, True, 1)
    await sql.execute(put, row["id"], row["secret_sealed"])
    await until(lambda: known(secrets, connected.id) == (True, [SECRET]), within=5)


IDS = [UUID(int=number) for number in (1, 2, 257, 300, 1 << 100)]
KNOWN = st.builds(
    lambda id_, provider, hooks, mark: Known(
        id=id_, provider=provider, enabled=True, mark=mark,
        secrets=tuple(Secret(webhook_id=hook, value="s") for hook in hooks),
    ),
    st.sampled_from(IDS), st.sampled_from(["clickup", "other"]), st.lists(st.sampled_from("abc"), max_size=3),
    st.integers(-(2**63), 2**63 - 1),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.one_of(KNOWN, st.sampled_from(IDS))))
def test_whatever_came_before_the_last_of_each_counts(puts: list[Known | UUID]) -> None:
    """Against a model: what is found by id and by hook, and what a comparison finds."""
    held, model = Snapshot(), dict[UUID, Known]()
    for put in puts:
        if isinstance(put, Known):
            held.put(put.id, put)
            model[put.id] = put
        else:
            held.put(put, None)
            model.pop(put, None)
    assert {id_: held.get(id_) for id_ in IDS} == {id_: model.get(id_) for id_ in IDS}
    for hook in "abc":
        mine = [one for one in model.values() if hook in {secret.webhook_id for secret in one.secrets}]
        of_one = sorted((one for one in mine if one.provider == "clickup"), key=lambda one: one.id)
        assert held.behind("clickup", [hook, hook]) == of_one
    sums: dict[int, int] = {}
    for one in model.values():
        sums[one.id.int % 256] = sums.get(one.id.int % 256, 0) ^ one.mark
    assert held.other([{"shelf": shelf, "mark": mark} for shelf, mark in sums.items()]) == []
    assert held.other([]) == sorted(shelf for shelf, mark in sums.items() if mark)
    assert held.changed(range(256), []) == set(model)
