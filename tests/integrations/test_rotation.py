"""Everything ends sealed with the first key: while others write, after an interruption, from whatever was there."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
import pytest

from integrations import rotation
from integrations.access import Opener
from integrations.budget import Budget, Priority
from integrations.clickup.client import transport
from integrations.rotation import PAGE, PLAIN, rotate, tally
from integrations.sealed_rows import open_secret, open_settings, secret_row, settings_row
from integrations.sealing import PGCRYPTO, UNKNOWN, Keyring, SealError, key_id, sealed_by
from schema.postgres import Database
from tests.conftest import SECRET, Connected, connect, until
from tests.house import now

OLD, NEW = bytes(range(32)), bytes(range(100, 132))
BEFORE, DURING, AFTER = Keyring.parse(OLD.hex()), Keyring.parse(f"{NEW.hex()},{OLD.hex()}"), Keyring.parse(NEW.hex())
FIRST, SECOND = key_id(NEW).hex(), key_id(OLD).hex()
LEGACY: Final = '{"api_token":"pk_48213377_LEGACYSECRET","workspace_id":"9012345678"}'


def unseen(_seen: int, _total: int) -> None: ...


async def pgcrypto(sql: Any, passphrase: str, plain: str = LEGACY) -> bytes:
    """What the extension itself writes on this server."""
    await sql.execute("CREATE EXTENSION IF NOT EXISTS pgcrypto")
    sealed: bytes = await sql.fetchval("SELECT pgp_sym_encrypt($1, $2, 'cipher-algo=aes256')", plain, passphrase)
    return sealed


async def seal_settings(sql: Any, id_: UUID, sealed: bytes) -> None:
    await sql.execute("UPDATE kb.integrations SET settings_encrypted = $2 WHERE id = $1", id_, sealed)


async def settings_of(sql: Any, id_: UUID, keyring: Keyring) -> dict[str, Any]:
    return open_settings(
        keyring, id_, await sql.fetchval("SELECT settings_encrypted FROM kb.integrations WHERE id = $1", id_)
    )


async def secrets_of(sql: Any, id_: UUID, keyring: Keyring) -> dict[str, str]:
    """Secrets by the hook they belong to."""
    rows = await sql.fetch("SELECT * FROM kb.webhook_secrets WHERE integration_id = $1", id_)
    return {row["webhook_id"]: open_secret(keyring, row["id"], row["secret_sealed"]) for row in rows}


async def many(database: Database, keyring: Keyring, count: int) -> list[UUID]:
    return [(await connect(database, keyring, token=f"pk_{turn}")).id for turn in range(count)]


async def test_everything_ends_with_the_first_key(database: Database, sql: Any) -> None:
    """More rows than a page holds are sealed anew, say what they said, and need the old key no more."""
    ids = await many(database, BEFORE, PAGE + 5)
    count = len(ids)
    report = await rotate(database, DURING, unseen)
    assert (report.before, report.after) == ({SECOND: 2 * count}, {FIRST: 2 * count})
    assert (report.key, report.renewed, report.unopened, report.done) == (FIRST, 2 * count, {}, True)
    for turn, id_ in enumerate(ids):
        assert (await settings_of(sql, id_, AFTER))["token"] == f"pk_{turn}"
        assert list((await secrets_of(sql, id_, AFTER)).values()) == [SECRET]
    again = await rotate(database, DURING, unseen)
    assert (again.before, again.renewed, again.done) == (report.after, 0, True)


async def test_rows_of_an_earlier_system(database: Database, sql: Any) -> None:
    """What pgcrypto wrote is read before and rewritten by a rotation; a plain secret is sealed where the others are."""
    one, two, three, none = [await connect(database, AFTER) for _ in range(4)]
    await seal_settings(sql, one.id, await pgcrypto(sql, OLD.hex()))
    sealed = "\\x" + (await pgcrypto(sql, OLD.hex(), "SEALED")).hex()
    for id_, secret in ((one.id, "PLAIN"), (two.id, sealed), (three.id, "")):
        await sql.execute("UPDATE kb.integrations SET webhook_secret = $2 WHERE id = $1", id_, secret)
    await sql.execute("UPDATE kb.integrations SET settings_encrypted = NULL WHERE id = $1", none.id)

    legacy = {"token": "pk_48213377_LEGACYSECRET", "workspace_id": "9012345678"}
    async with transport() as http:
        opener = Opener(
            database=database, keyring=DURING, budget=Budget(database), http=http, clickup_url="http://x", now=now
        )
        row = await sql.fetchrow("SELECT id, settings_encrypted FROM kb.integrations WHERE id = $1", one.id)
        assert opener.open(row, Priority.SYNC).settings == legacy

    report = await rotate(database, DURING, unseen)
    assert report.before == {FIRST: 6, PGCRYPTO: 1, PLAIN: 3}
    assert (report.after, report.unopened, report.done) == ({FIRST: 9}, {}, True)
    assert await settings_of(sql, one.id, AFTER) == legacy
    assert (await secrets_of(sql, one.id, AFTER))[rotation.UNKNOWN_HOOK] == "PLAIN"
    assert (await secrets_of(sql, two.id, AFTER))[rotation.UNKNOWN_HOOK] == "SEALED"
    assert rotation.UNKNOWN_HOOK not in await secrets_of(sql, three.id, AFTER)
    assert await sql.fetchval("SELECT count(*) FROM kb.integrations WHERE webhook_secret IS NOT NULL") == 0


async def test_a_passphrase_that_is_no_key(database: Database, connected: Connected, sql: Any) -> None:
    """An earlier system's key of any text opens what it sealed, and only that."""
    words = "correct horse battery staple, und Grüße".replace(",", "")
    await seal_settings(sql, connected.id, await pgcrypto(sql, words))
    with pytest.raises(SealError, match="sealed by pgcrypto, and no key that is set opens it"):
        await settings_of(sql, connected.id, DURING)
    ring = Keyring.parse(f"{NEW.hex()},{OLD.hex()},pgcrypto:{words}")
    assert (len(ring.keys), words in repr(ring)) == (2, False)
    assert (await rotate(database, ring, unseen)).done
    assert (await settings_of(sql, connected.id, AFTER))["token"] == "pk_48213377_LEGACYSECRET"
    with pytest.raises(SealError, match="no encryption key is set"):
        Keyring.parse(f"pgcrypto:{words}")


@pytest.mark.parametrize("writer", [DURING, BEFORE], ids=["restarted", "not restarted yet"])
async def test_others_write_all_the_while(writer: Keyring, database: Database, sql: Any, database_url: str) -> None:
    """No change that is made during a rotation is lost, whichever key it is sealed with."""
    ids = await many(database, BEFORE, 30)
    said: dict[UUID, str] = {}
    over = asyncio.Event()

    async def write(connection: Any) -> None:
        turn = 0
        while not over.is_set():
            turn, id_ = turn + 1, ids[turn % len(ids)]
            token = f"pk_changed_{turn}"
            plain = orjson.dumps({"token": token})
            await seal_settings(connection, id_, writer.seal(plain, row=settings_row(id_)))
            said[id_] = token

    async with asyncio.TaskGroup() as tasks:
        connection = await asyncpg.connect(database_url)
        tasks.create_task(write(connection))
        await until(lambda: len(said) == len(ids))
        for _ in range(5):
            report = await rotate(database, DURING, unseen)
            assert report.unopened == {}
            assert sum(report.after.values()) == 2 * len(ids)
        over.set()
    await connection.close()
    assert (await rotate(database, DURING, unseen)).done
    assert {id_: (await settings_of(sql, id_, AFTER))["token"] for id_ in ids} == said


async def test_a_change_between_reading_and_putting(database: Database, sql: Any, database_url: str) -> None:
    """A row that changes after it was read is left as it is, then sealed anew with what it says now."""
    (id_,) = await many(database, BEFORE, 1)
    changed = BEFORE.seal(b'{"token":"pk_changed"}', row=settings_row(id_))
    async with asyncio.TaskGroup() as tasks, sql.transaction():
        await seal_settings(sql, id_, changed)
        rotation_ = tasks.create_task(rotate(database, DURING, unseen))  # it reads the old value and waits
        await until(lambda: waiting(database_url))
    report = rotation_.result()
    assert (report.done, report.renewed) == (True, 2)
    assert (await settings_of(sql, id_, AFTER))["token"] == "pk_changed"


async def waiting(database_url: str) -> bool:
    """Whether a statement waits for somebody else's lock."""
    connection = await asyncpg.connect(database_url)
    blocked: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    await connection.close()
    return blocked


async def test_interrupted_it_goes_on(database: Database, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended at any moment, it leaves every row readable; run again, it does what is left and nothing twice."""
    monkeypatch.setattr(rotation, "PAGE", 7)
    ids = await many(database, BEFORE, 30)

    def ended(seen: int, _total: int) -> None:
        if seen >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rotate(database, DURING, ended)
    half = await tally(database)
    assert half == {FIRST: 21, SECOND: 39}
    for id_ in ids:
        assert (await settings_of(sql, id_, DURING))["token"].startswith("pk_")
    report = await rotate(database, DURING, unseen)
    assert (report.before, report.after, report.renewed) == (half, {FIRST: 60}, 39)


async def test_what_does_not_open_stays_and_is_named(database: Database, sql: Any) -> None:
    """An altered, a swapped, a foreign and a plain row are named with the reason and stay; the others are done."""
    lost = Keyring([bytes(32)])
    altered, one, other, foreign, plain, legacy, well = await many(database, BEFORE, 7)
    stored = {row["id"]: row["settings_encrypted"] for row in await sql.fetch("SELECT * FROM kb.integrations")}
    stored[altered] = stored[altered][:-1] + bytes([stored[altered][-1] ^ 1])
    stored[one], stored[other] = stored[other], stored[one]
    stored[foreign] = lost.seal(b"{}", row=settings_row(foreign))
    stored[plain] = LEGACY.encode()
    stored[legacy] = await pgcrypto(sql, "of somebody else")
    for id_, sealed in stored.items():
        await seal_settings(sql, id_, sealed)
    hidden = "\\x" + stored[legacy].hex()
    await sql.execute("UPDATE kb.integrations SET webhook_secret = $2 WHERE id = $1", well, hidden)

    report = await rotate(database, DURING, unseen)
    reasons = {
        settings_row(altered): "was altered or belongs to another row",
        settings_row(one): "was altered or belongs to another row",
        settings_row(other): "was altered or belongs to another row",
        settings_row(foreign): f"sealed with key {key_id(bytes(32)).hex()}, but only {FIRST}, {SECOND} is set",
        settings_row(plain): "not sealed in a form",
        settings_row(legacy): "no key that is set opens it",
        f"integrations/{well}/webhook_secret": "no key that is set opens it",
    }
    assert report.unopened.keys() == reasons.keys()
    for row, reason in report.unopened.items():
        assert row in reason
        assert reasons[row] in reason
        assert "pk_" not in reason
    assert report.after == {FIRST: 8, SECOND: 3, key_id(bytes(32)).hex(): 1, UNKNOWN: 1, PGCRYPTO: 1, PLAIN: 1}
    assert not report.done
    rows = await sql.fetch("SELECT * FROM kb.integrations")
    assert {row["id"] for row in rows if row["settings_encrypted"] != stored[row["id"]]} == {well}
    assert [row["webhook_secret"] for row in rows if row["id"] == well] == [hidden]


async def test_two_at_once(database: Database, sql: Any) -> None:
    """Two rotations side by side end as one does; a plain secret moves once."""
    ids = await many(database, BEFORE, 40)
    await sql.execute("UPDATE kb.integrations SET webhook_secret = 'PLAIN'")
    reports = await asyncio.gather(*(rotate(database, DURING, unseen) for _ in range(2)))
    assert sum(report.renewed for report in reports) == 120
    assert all(report.done for report in reports)
    assert await sql.fetchval("SELECT count(*) FROM kb.webhook_secrets") == 80
    for id_ in ids:
        assert (await secrets_of(sql, id_, AFTER))[rotation.UNKNOWN_HOOK] == "PLAIN"


async def test_chance_is_an_argument(database: Database, sql: Any) -> None:
    """Nonces and the ids of moved secrets come from the keyring's source."""
    (id_,) = await many(database, BEFORE, 1)
    await sql.execute("UPDATE kb.integrations SET webhook_secret = 'PLAIN'")
    ring = Keyring([NEW, OLD], lambda count: b"n" * count)
    await rotate(database, ring, unseen)
    moved = UUID(bytes=b"n" * 16, version=4)
    sealed = await sql.fetchval("SELECT secret_sealed FROM kb.webhook_secrets WHERE id = $1", moved)
    assert sealed == ring.seal(b"PLAIN", row=secret_row(moved))
    assert (await settings_of(sql, id_, AFTER))["token"] == "pk_0"


def test_what_a_value_says_it_was_sealed_with() -> None:
    """A key's id where there is one; the words that stand for it where there is none."""
    assert sealed_by(BEFORE.seal(b"", row="row")) == SECOND
    assert sealed_by(b"\xc3\x0d\x04\x09") == PGCRYPTO
    for other in (b"", b"kb1", b"kb1abc", b'{"token":""}', b"kb2abcd"):
        assert sealed_by(other) == UNKNOWN
