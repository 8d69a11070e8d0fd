"""Mistakes that others made with webhooks, as vectors for ours; from the socket to the row.

The numbers are those of the study that the cases were collected in (field notes c.1 to c.14, D9).
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest

from cli.serving import InProcessServer, http_server
from events.embedded import Embedded
from events.envelope import Envelope
from events.errors import BusUnavailable
from ingest.app import build
from integrations.clickup.webhook import sign
from integrations.sealing import Keyring
from schema.postgres import Database
from tests import source
from tests.conftest import SECRET, sample, until
from tests.house import House, house
from tests.source import FOLDER, LIST, TASK, Source

NAMED = sample("task-updated-name")
GOOD = sign(SECRET, NAMED)
LIMIT = 300_000


class Shaky(Embedded):
    """A bus that fails to store so many times."""

    failures = 0

    async def publish(self, envelopes: Sequence[Envelope], *, within: float) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise BusUnavailable("not now")
        await super().publish(envelopes, within=within)


@dataclass(slots=True, kw_only=True)
class Way:
    """Ingest over a socket, and the consumers behind it."""

    at: House
    clickup: Source
    bus: Shaky
    url: str

    async def post(self, content: Any, *headers: tuple[str, str | bytes], named: bool = True) -> httpx.Response:
        """Send these bytes with these headers; the answer is none that suspends or loses the hook."""
        url = f"{self.url}/webhooks/clickup" + (f"/{self.at.connected.id}" if named else "")
        raw = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]
        async with httpx.AsyncClient(timeout=10, follow_redirects=False) as http:
            answer = await http.post(url, content=content, headers=raw)
        assert answer.status_code in (200, 403, 404, 408, 413, 503)
        return answer

    async def signed(self, body: bytes, *headers: tuple[str, str | bytes]) -> httpx.Response:
        """A genuine delivery."""
        return await self.post(body, ("x-signature", sign(SECRET, body)), *headers)

    async def settled(self) -> None:
        """Everything accepted is settled."""
        async with self.at.consuming():
            await self.at.idle()


@pytest.fixture
async def way(database: Database, database_url: str, sql: Any, keyring: Keyring) -> AsyncIterator[Way]:
    async with Source().serving() as clickup, house(database, sql, keyring, clickup.url) as at:
        clickup.answers = source.story()
        own = Database(database_url, program="ingest", role="kb_ingest")
        bus = Shaky(own)
        app = build(bus=bus, spool=None, database=own, keyring=keyring, max_body=LIMIT)
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        server = InProcessServer(http_server(app))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        yield Way(at=at, clickup=clickup, bus=bus, url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        server.should_exit = True
        await task
        listener.close()


def rewritten() -> Iterator[tuple[str, bytes]]:
    """The same JSON in other bytes, each as some library writes it."""
    payload = orjson.loads(NAMED)
    yield "blanks", json.dumps(payload, ensure_ascii=False).encode()
    yield "indented", json.dumps(payload, ensure_ascii=False, indent=2).encode()
    yield "order of keys", orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    yield "escapes", json.dumps(payload, separators=(",", ":")).encode()
    yield "slashes", NAMED.replace(b"/", b"\\/").replace(b'"event"', b'"\\u0065vent"')
    yield "numbers", NAMED.replace(b'"type":1,', b'"type":1.0,').replace(b'"type": 1,', b'"type": 1.0,')
    yield "a line's end", NAMED.rstrip() + b"\r\n"
    yield "a byte order mark", b"\xef\xbb\xbf" + NAMED


@pytest.mark.parametrize(("body"), [body for _, body in rewritten()], ids=[name for name, _ in rewritten()])
async def test_d9_the_same_json_in_other_bytes(way: Way, body: bytes) -> None:
    """Not what was signed: 403. Signed as it is, it is accepted: no form of JSON matters."""
    assert body != NAMED
    assert (await way.post(body, ("x-signature", GOOD))).status_code == 403
    assert (await way.signed(body)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("x-signature", GOOD)], 200),
        ([("X-SIGNATURE", GOOD.upper())], 200),
        ([], 403),
        ([("x-signature", "")], 403),
        ([("x-signature", GOOD[:-1])], 403),
        ([("x-signature", GOOD + "0")], 403),
        ([("x-signature", GOOD * 100)], 403),
        ([("x-signature", f"sha256={GOOD}")], 403),
        ([("x-signature", f"v1,{GOOD}")], 403),
        ([("x-signature", base64.b64encode(bytes.fromhex(GOOD)))], 403),
        ([("x-signature", bytes(octet | 0x80 for octet in bytes.fromhex(GOOD)))], 403),
        ([("x-signature", "é" * 64)], 403),
        ([("x-signature", "é".encode("latin-1") * 64)], 403),
        ([("x-signature", hmac.new(SECRET.encode(), NAMED, hashlib.sha1).hexdigest())], 403),
        ([("x-signature", hashlib.sha256(SECRET.encode() + NAMED).hexdigest())], 403),
        ([("x-signature", "null")], 403),
        ([("x-clickup-signature", GOOD)], 403),
        ([("authorization", f"Bearer {GOOD}")], 403),
        ([("x-signature", "0" * 64), ("x-signature", GOOD)], 403),
        ([("x-signature", f"{GOOD}, {GOOD}")], 403),
    ],
    ids=["right", "upper case", "missing", "empty", "short", "long", "endless", "prefixed", "versioned",
         "base64", "raw", "UTF-8", "latin-1", "SHA-1", "no HMAC", "null", "another header", "a bearer",
         "a wrong one first", "joined"],
)  # fmt: skip
async def test_c7_d9_any_signature_is_right_or_wrong(
    way: Way, headers: list[tuple[str, str | bytes]], status: int
) -> None:
    """By the integration's address and by the hook's id alike: 200 or 403, never an error of ours."""
    for named in (True, False):
        assert (await way.post(NAMED, *headers, named=named)).status_code == status


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"event=taskUpdated&task_id=1"),
        ("application/x-www-form-urlencoded", NAMED),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'),
        ("text/plain; charset=utf-16", NAMED),
        ("", NAMED),
        ("application/json", b""),
    ],
    ids=["a form", "JSON as a form", "a multipart form", "another charset", "no type", "empty"],
)
async def test_c8_a_media_type_changes_nothing(way: Way, media_type: str, body: bytes) -> None:
    """Neither what is signed nor what is kept, nor the bound: a form is no way around it."""
    answer = await way.signed(body, ("content-type", media_type))
    assert answer.status_code == 200
    kept = "SELECT body FROM kb.queue_messages WHERE headers ->> 'cloudEvents_id' = $1"
    assert await way.at.sql.fetchval(kept, answer.json()["event_id"]) == body
    assert (await way.post(body, ("content-type", media_type))).status_code == 403
    assert (await way.signed(b"a=" + b"b" * LIMIT, ("content-type", media_type))).status_code == 413


async def test_c8_a_compressed_body_is_its_bytes(way: Way) -> None:
    """What came is what was signed and what is kept: nothing is unpacked before the signature, however much it were."""
    packed = gzip.compress(NAMED)
    encoded = ("content-encoding", "gzip")
    assert (await way.signed(packed, encoded)).status_code == 200
    assert (await way.post(packed, ("x-signature", GOOD), encoded)).status_code == 403
    assert (await way.signed(gzip.compress(bytes(50_000_000)), encoded)).status_code == 200


async def test_a_chunked_body_is_its_bytes(way: Way) -> None:
    """However it is cut into chunks."""

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for at in range(0, len(NAMED), size):
            yield NAMED[at : at + size]

    ids = {(await way.post(chunks(size), ("x-signature", GOOD))).json()["event_id"] for size in (1, 7, 4096)}
    assert len(ids) == 1


async def test_c5_c10_a_failure_burns_no_id(way: Way) -> None:
    """Not stored is said so, and remembered nowhere: the same delivery, sent again, is accepted and has its effect."""
    way.bus.failures = 2
    for _ in range(2):
        answer = await way.signed(NAMED)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
    assert await way.at.sql.fetchval("SELECT count(*) FROM kb.queue_messages") == 0
    assert (await way.signed(NAMED)).status_code == 200
    await way.settled()
    assert (await way.at.object("task", TASK))["title"] == source.task()["name"]
    assert await way.at.sql.fetchval("SELECT total_synced_tasks FROM kb.clickup_sync_state") == 1


async def test_c11_c12_a_recorded_delivery_sent_again_has_no_effect(way: Way) -> None:
    """Byte for byte, by whoever recorded it, any number of times, at once and after a restart: one id, one effect."""
    first = (await way.signed(NAMED)).json()
    await way.settled()
    before, asked = await way.at.outline(), way.clickup.calls.total()
    way.clickup.answers[f"task/{TASK}"] = source.task(name="what the source says now")
    for _ in range(2):
        answers = await asyncio.gather(*(way.signed(NAMED) for _ in range(25)))
        assert [answer.json() for answer in answers] == [first] * 25
        await way.settled()  # by consumers that remember nothing: what they know is in PostgreSQL
    assert await way.at.outline() == before
    assert way.clickup.calls.total() == asked
    assert (await way.post(NAMED.replace(b"a", b"b", 1), ("x-signature", GOOD))).status_code == 403


async def test_a_recorded_delivery_without_history_sent_again_changes_nothing(way: Way) -> None:
    """Its bytes may be another change, so it is read again; what the source says has not changed."""
    way.clickup.answers[f"folder/{FOLDER}"] = {"id": FOLDER, "name": "F", "space": {"id": source.SPACE}, "lists": []}
    for name in ("folder-updated", "space-updated"):
        await way.signed(sample(name))
    await way.settled()
    before = await way.at.outline()
    for _ in range(10):
        for name in ("folder-updated", "space-updated"):
            assert (await way.signed(sample(name))).status_code == 200
    await way.settled()
    assert await way.at.outline() == before


DEEP = 200
TRAPS = {
    "empty": b"",
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "a deep history": b'{"event":"taskUpdated","task_id":"1","history_items":' + b"[" * 50_000,
    "an endless number": b'{"event":"taskUpdated","task_id":' + b"9" * 200_000 + b"}",
    "an endless exponent": b'{"event":"taskUpdated","task_id":1e' + b"9" * 100_000 + b"}",
    "invalid UTF-8": b'{"event":"taskUpdated","task_id":"\xff\xfe"}',
    "an unknown event": b'{"event":"taskFlew","task_id":"1"}',
    "NUL for an id": b'{"event":"taskUpdated","task_id":"\\u0000"}',
    "NUL octets": b"\x00" * 1000,
    "an endless id": b'{"event":"taskUpdated","task_id":"' + b"x" * 200_000 + b'"}',
    "no object": b'"taskUpdated"',
    "half an object": NAMED[: len(NAMED) // 2],
    "a script": b"<script>alert(1)</script>",
    "the last event of two": b'{"event":"taskUpdated","event":7,"task_id":"1"}',
}
"""Genuine, and nothing that we understand."""


def odd(**more: object) -> bytes:
    """A delivery about a task that the source knows, with something odd in it."""
    return json.dumps({"event": "taskUpdated", "task_id": TASK, "webhook_id": "w"} | more).encode()


ODD = {
    "UTF-16": odd().decode().encode("utf-16"),
    "many keys": odd(**{f"key{number}": number for number in range(15_000)}),
    "colliding keys": odd(**{str(number * (2**61 - 1)): 1 for number in range(9000)}),
    "duplicate keys": odd()[:-1] + b',"task_id":"' + TASK.encode() + b'"' + b',"a":1' * 30_000 + b"}",
    "lone surrogates": odd(history_items=[{"field": "name", "after": "\ud83d cut", "date": "1773568805123"}]),
    "NUL": odd(history_items=[{"field": "name", "after": "a\x00b", "date": "1773568805124"}]),
    "huge numbers": odd(history_items=[{"field": "due_date", "after": 10**300, "date": 10**300}]),
    "no numbers": odd(history_items=[{"field": "due_date", "after": float("nan"), "date": float("inf")}]),
    "depth": odd(history_items=[{"field": "status", "after": json.loads("[" * DEEP + "]" * DEEP)}]),
    "a wide history": odd(history_items=[{"field": "tag", "after": [{"name": "t"}]}] * 4000),
    "types": odd(history_items={"a": [1, None, True, "x"]}, data=[[], {}, 1.5]),
}
"""Genuine, and understood for all their oddness."""


async def test_c13_traps_in_json_end_in_quarantine_and_harm_no_neighbour(way: Way) -> None:
    """200, raw bytes kept with the reason; whatever is understood is applied, and so is what comes between."""
    dead: dict[str, str] = {}
    for (name, trap), neighbour in zip(TRAPS.items(), [NAMED, *[sample("task-created")] * len(TRAPS)], strict=False):
        for body in (trap, neighbour):
            answer = await way.signed(body)
            assert answer.status_code == 200, name
            if body is trap:
                dead[answer.json()["event_id"]] = name
    for name, body in ODD.items():
        assert (await way.signed(body)).status_code == 200, name
    assert (await way.signed(sample("list-updated"))).status_code == 200
    await way.settled()
    rows = await way.at.sql.fetch("SELECT headers, body FROM kb.queue_messages WHERE queue = 'kb.knowledge.dead'")
    found = {orjson.loads(row["headers"])["cloudEvents_id"]: row for row in rows}
    assert {dead.get(id_, id_) for id_ in found} == set(TRAPS)
    for id_, name in dead.items():
        assert found[id_]["body"] == TRAPS[name]
        assert orjson.loads(found[id_]["headers"])["kb-reason"]
    assert (await way.at.object("task", TASK))["title"] == source.task()["name"]
    assert (await way.at.object("list", LIST)) is not None
