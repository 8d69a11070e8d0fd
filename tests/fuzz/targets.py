"""What must hold for any input: each target raises nothing but the errors it names, and says what goes round.

A target is a function of inputs drawn by hypothesis; the suite, long runs and coverage-guided runs use the same ones.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from cli.settings import url_fault
from events.envelope import Envelope, published_at, trace_context
from events.errors import Malformed
from gallery import models
from gallery.paging import EARLIEST, LATEST, Moment, cursor, near, place
from gallery.problems import Problem
from ingest.snapshot import Known
from ingest.webhooks import wrap
from integrations import openpgp
from integrations.clickup import docs, goals, mapping, webhook
from integrations.clickup.offering import SETTINGS
from integrations.clickup.values import items
from integrations.registry import providers
from integrations.sealed_rows import open_settings, settings_row
from integrations.sealing import Keyring, SealError, sealed_by
from integrations.settings import Invalid, checked, mask
from schema.records import Record
from tests import source
from tests.conftest import ROOT_OF_TESTS
from tests.fuzz.inputs import altered, deliveries, headers, mutated, objects, scalars, texts, values

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
RING = Keyring([bytes(range(32)), bytes(range(32, 64))])
TYPE = re.compile(r"clickup\.(unrecognized|(task|comment|list|folder|space|goal|key_result)\.[a-z_]+)")
TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
WROTE = orjson.loads((ROOT_OF_TESTS / "integrations" / "pgcrypto.json").read_bytes())
MESSAGES = [bytes.fromhex(message) for message in WROTE["good"].values()]
ID = UUID(int=7)


def latin(octets: bytes) -> str:
    """Any octets as text."""
    return octets.decode("latin-1")


def storable(value: Any) -> None:
    """PostgreSQL and JSON can keep it: no NUL, no lone surrogate, no number beyond 64 bits."""
    assert b"\\u0000" not in orjson.dumps(value, default=list)  # a Ref is a tuple with names


@given(body=st.binary(max_size=200) | deliveries, header=st.binary(max_size=100), secrets=st.lists(texts, max_size=3))
def signature(body: bytes, header: bytes, secrets: list[str]) -> None:
    """Any header is right or wrong, and only the signature of one of the secrets is right."""
    usable = [secret for secret in secrets if secret.encode("utf-8", "replace").decode() == secret]
    right = [webhook.sign(secret, body).encode() for secret in usable]
    given_ = header.strip().lower()
    assert webhook.genuine(body, header, usable) is any(hmac.compare_digest(given_, one) for one in right)
    for one in right:
        assert webhook.genuine(body, b" " + one.upper() + b"\t", usable)
        assert not webhook.genuine(body + b"\n", one, usable)
        assert not webhook.genuine(body, one[:-1], usable)


@given(body=deliveries)
def reading(body: bytes) -> None:
    """A genuine body is described, previewed and wrapped whatever it is; what it states can be stored."""
    provider = providers()["clickup"]
    assert len(provider.webhook_ids(body)) <= 4
    described = provider.describe(body)
    assert TYPE.fullmatch(described.type)
    (described.subject or "").encode()
    assert len(described.subject or "") < 300
    previewed = provider.preview(body, NOW)
    for amendment in previewed.amendments:
        storable([*amendment.ref, amendment.path, amendment.kind, amendment.value])
    event = wrap(body, provider=provider, known=Known(id=ID, provider="clickup", enabled=True), now=NOW, traceparent="")
    assert Envelope.decode(event.headers(), body) == event
    with suppress(webhook.Unreadable):
        notice = webhook.read(body)
        assert (described.type, described.subject) == (notice.type, notice.subject)
        for heard in notice.comments:
            storable([heard.id, heard.text])
            record_of(partial(mapping.heard_comment, heard, task_id="t", edited=True))


def record_of(make: Callable[[], Record | list[Record]]) -> None:
    """It makes records that can be stored, or says that the object is malformed."""
    with suppress(mapping.MalformedObject):
        made = make()
        for record in made if isinstance(made, list) else [made]:
            storable(record.content())
            storable([[edge.type, *edge.src, *edge.dst] for edge in record.edges])
            storable([[one.id, one.name, one.email] for one in record.people])
            assert len(record.ref.id) <= 255
            assert len(record.content_hash()) == 32


STORY = source.story()
SPACE, LIST = STORY[f"space/{source.SPACE}"], STORY[f"list/{source.LIST}"]
GOAL = STORY[f"goal/{source.GOAL}"]["goal"] | {"key_results": [{"id": "k", "name": "n", "type": "number"}]}
DOC = {"id": "d", "name": "n", "date_updated": 1, "parent": {"id": "1", "type": 4}, "creator": 1}
FOLDER = {"id": "f", "name": "n", "space": {"id": "1"}, "lists": [LIST]}
PAGES = {"pages": [{"id": "p", "name": "n", "content": "c", "pages": [{"id": "q"}]}]}
FIELDS = {"custom_fields": [{"id": "1", "name": "f", "type": "drop_down", "type_config": {"options": [
    {"id": "o", "name": "n", "orderindex": 0}]}, "value": 0}, {"id": "2", "name": "l", "type": "labels",
    "type_config": {"options": [{"id": "o", "label": "n"}]}, "value": ["o"]}]}  # fmt: skip
TASK = source.task() | FIELDS
TASK |= {"dependencies": [{"task_id": "a", "depends_on": "b"}], "linked_tasks": [{"task_id": "a"}]}


@given(
    task=altered(TASK) | objects,
    space=altered(SPACE) | objects,
    list_=altered(LIST) | objects,
    folder=altered(FOLDER) | objects,
    comment=altered(source.comment()) | objects,
    goal=altered(GOAL) | objects,
    doc=altered(DOC) | objects,
    pages=altered(PAGES),
)
def objects_of_the_source(**raw: Any) -> None:
    """ClickUp's objects in any form become records that can be stored, or are malformed."""
    record_of(lambda: mapping.task(raw["task"]))
    record_of(lambda: mapping.space(raw["space"], workspace_id="1"))
    record_of(lambda: mapping.workspace(raw["space"]))
    record_of(lambda: mapping.list_(raw["list_"], workspace_id="1"))
    record_of(lambda: mapping.folder(raw["folder"], workspace_id="1"))
    record_of(lambda: mapping.comment(raw["comment"], task_id="1", reply_to="2"))
    record_of(lambda: goals.goal(raw["goal"], workspace_id="1"))
    pages = raw["pages"].get("pages") if isinstance(raw["pages"], dict) else None
    record_of(lambda: docs.doc(raw["doc"], items(pages), workspace_id="1"))


plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
envelopes = st.builds(
    Envelope,
    id=st.uuids(),
    source=plain,
    type=plain,
    integration_id=st.uuids(),
    time=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))])),
    data=st.binary(max_size=40),
    subject=st.none() | plain,
    content_type=plain.filter(bool),
    traceparent=st.none() | plain,
    replayed=st.booleans(),
    published=st.none() | st.datetimes(timezones=st.just(UTC)),
)


@given(event=envelopes, found=headers, lost=st.integers(0, 12), name=texts)
def envelope(event: Envelope, found: dict[str, Any], lost: int, name: str) -> None:
    """What was encoded is decoded; any other headers are decoded or malformed."""
    good = event.headers()
    decoded = Envelope.decode(good, event.data)
    assert (decoded, decoded.published) == (event, event.published)
    with suppress(Malformed):
        Envelope.decode(good | found, b"").headers()
    with suppress(Malformed):
        Envelope.decode(dict(list(good.items())[:lost]) | found, b"").headers()
    published_at(found)
    assert TRACE.fullmatch(trace_context(name, bytes(24)))


@given(plain=st.binary(max_size=200), at=st.integers(0, 10**6), bit=st.integers(0, 7), other=st.binary(max_size=80))
def sealing(plain: bytes, at: int, bit: int, other: bytes) -> None:
    """Sealed and opened is the same; a flipped bit, another row, a cut or anything else is a SealError."""
    sealed = RING.seal(plain, row="row")
    assert RING.open(sealed, row="row") == plain
    flipped = bytearray(sealed)
    flipped[at % len(sealed)] ^= 1 << bit
    for wrong, row in ((bytes(flipped), "row"), (sealed, "other"), (sealed[: at % len(sealed)], "row"), (other, "row"),
                       (sealed + other[:1] + b"x", "row"), (b"kb1" + other, "row")):  # fmt: skip
        sealed_by(wrong)
        with pytest.raises(SealError, match=r"\A[^\n]+\Z"):
            RING.open(wrong, row=row)


@given(text=texts | mutated(b"00" * 32, b"a2V5" * 11, b"pgcrypto:word, " + b"11" * 32).map(latin))
def keys(text: str) -> None:
    """What is configured as keys is a keyring or a SealError."""
    with suppress(SealError):
        ring = Keyring.parse(text)
        assert ring.open(ring.seal(b"x", row="r"), row="r") == b"x"


@given(held=values | st.binary(max_size=40))
def sealed_settings(held: Any) -> None:
    """Settings that open are an object under today's names, whatever was sealed; or it is a SealError."""
    plain = held if isinstance(held, bytes) else (f'{{"a":{held!r}}}').encode("utf-8", "replace")
    for content in (plain, orjson.dumps({"api_token": "x", "b": str(held).encode("utf-8", "replace").decode()})):
        with suppress(SealError):
            assert "api_token" not in open_settings(RING, ID, RING.seal(content, row=settings_row(ID)))


@given(message=mutated(*MESSAGES) | st.binary(max_size=200).map(lambda octets: b"\xc3" + octets), text=texts)
def openpgp_messages(message: bytes, text: str) -> None:
    """An altered message of pgcrypto is unreadable, or still gives exactly what was in it."""
    quick = message[:1] != b"\xc3" or len(message) < 14 or message[4:5] != b"\x03" or message[13] < 0xC0
    openpgp.written(text)
    if quick:  # a count of the digest's rounds near its end takes a second, by the format's own design
        with suppress(openpgp.Unreadable):
            assert openpgp.decrypt(message, [WROTE["passphrase"].encode()]) == WROTE["plain"].encode()


@given(text=st.none() | texts | st.binary(max_size=60).map(latin), held=values,
       at=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=23))])),
       id_=st.uuids())  # fmt: skip
def paging(text: str | None, held: Any, at: datetime, id_: UUID) -> None:
    """A cursor leads to its place; any other text is a Problem or a place; every time has a near one."""
    assert EARLIEST <= near(at) <= LATEST
    assert place(cursor(at, id_)) == (near(at), id_)
    made = []
    with suppress(orjson.JSONEncodeError):
        made = [cursor(held), cursor(held, held), cursor(str(at), held), cursor(held, str(id_))]
    for one in [text, *made]:
        with suppress(Problem):
            when, _ = place(one)
            assert when is None or EARLIEST <= when <= LATEST
    with suppress(ValidationError):
        assert EARLIEST <= TypeAdapter(Moment).validate_python(held) <= LATEST


NAMES = sorted({name for one in SETTINGS for name in (one.name, *one.aliases)})


@given(
    given_=st.dictionaries(st.sampled_from(NAMES) | texts, scalars | values, max_size=6),
    token=st.from_regex(r"\A[!-~]{1,60}\Z").filter(lambda written: "****" not in written),
)
def settings(given_: dict[str, Any], token: str) -> None:
    """What is given is valid or says by name what is wrong; what is valid stays so; a secret is never shown whole."""
    for before in (None, {"token": token, "workspace_id": "1"}):
        try:
            after = checked(SETTINGS, given_, saved=before)
        except Invalid as error:
            unnamed = error.faults.keys() - {*given_, *NAMES}
            if unnamed:
                raise AssertionError(unnamed) from error
        else:
            assert checked(SETTINGS, after) == after
            orjson.dumps(after)
            shown = mask(after["token"])
            assert shown.count("*") >= 4
            assert after["token"] not in shown or set(after["token"]) <= {"*"}
    for model in (models.NewIntegration, models.Change, models.SyncRequest, models.Tried):
        with suppress(ValidationError):
            model.model_validate(given_ | {"settings": given_, "name": "clickup"}).model_dump_json()


@given(url=texts | mutated(b"postgresql://user:p%40ss@localhost:5432/kb", b"https://[::1]:1/x").map(latin))
def addresses(url: str) -> None:
    """An address of the configuration is good, or what is wrong with it is said without quoting it."""
    fault = url_fault(url, "postgresql", "https")
    assert fault is None or len(fault) < 120


TARGETS: dict[str, Callable[[], None]] = {
    "signature": signature,
    "reading": reading,
    "mapping": objects_of_the_source,
    "envelope": envelope,
    "sealing": sealing,
    "keys": keys,
    "sealed settings": sealed_settings,
    "openpgp": openpgp_messages,
    "paging": paging,
    "settings": settings,
    "addresses": addresses,
}
