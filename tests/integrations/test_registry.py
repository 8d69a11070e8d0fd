"""Providers are found by their folder, show no secret, and say of any bytes what they are."""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
import respx
from hypothesis import given, settings
from hypothesis import strategies as st

import integrations
from integrations import registry
from integrations.access import Access
from integrations.clickup.provider import PROVIDER
from integrations.clickup.webhook import EVENTS
from integrations.registry import Delivered, Description, Impossible, NotNow, masked, providers
from integrations.settings import MASK
from schema.records import Look, Ref
from tests.conftest import SAMPLES, sample
from tests.turns import Unmetered

API = "https://api.clickup.test/api"
TOKEN = "pk_48213377_SECRETSECRET"
NOW = datetime(2026, 3, 15, 10, tzinfo=UTC)
MODULE = """
from dataclasses import replace
from integrations.clickup.provider import PROVIDER
PROVIDER = replace(PROVIDER, name="{name}", display_name="A later one")
"""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(sorted(EVENTS)) | json_values,
        "task_id": json_values,
        "list_id": json_values,
        "goal_id": json_values,
        "key_result_id": json_values,
        "history_items": st.lists(
            st.fixed_dictionaries({}, optional={"comment": json_values, "after": json_values, "date": json_values})
            | json_values,
            max_size=4,
        )
        | json_values,
    },
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One more folder in which providers are looked for, and no memory of an earlier look."""
    monkeypatch.setattr(integrations, "__path__", [*integrations.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "providers", functools.cache(registry.providers.__wrapped__))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def put(folder: Path, name: str, *, calls_itself: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    (folder / name / "provider.py").write_text(MODULE.format(name=calls_itself))


def test_clickup_is_found() -> None:
    """ClickUp is there under its folder's name, and modules that are no folders are no providers."""
    assert providers()["clickup"] is PROVIDER
    assert "registry" not in providers()
    assert PROVIDER.signature_header == PROVIDER.signature_header.lower() == "x-signature"


def test_a_new_folder_is_a_new_provider(folder: Path) -> None:
    """Adding a provider is adding a folder: nothing else changes."""
    put(folder, "later_one", calls_itself="later_one")
    found = registry.providers()
    assert set(found) == {"clickup", "later_one"}
    assert found["later_one"].display_name == "A later one"


def test_a_misnamed_provider_is_refused(folder: Path) -> None:
    """A provider that calls itself otherwise than its folder stops the start, and the message names both."""
    put(folder, "later_two", calls_itself="other")
    with pytest.raises(ValueError, match="integrations/later_two calls itself other"):
        registry.providers()


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("pk_48213377_ABCDEFGHIJKL", f"pk_4{MASK}IJKL"),
        ("0123456789abcdef", f"0123{MASK}cdef"),
        ("0123456789abcde", MASK),
        ("short", MASK),
        ("", MASK),
        (None, MASK),
        (12345678901234567890, f"1234{MASK}7890"),
        (["pk_1"], MASK),
    ],
)
def test_masks(token: object, shown: str) -> None:
    """Of a secret at most four characters at each end leave, of a short one none; the rest of the settings stays."""
    whole = {"token": token, "workspace_id": "90131007715"}
    assert masked(PROVIDER, whole) == {"token": shown, "workspace_id": "90131007715"}
    assert whole["token"] == token


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_a_mask_hides_half_at_least(token: str) -> None:
    """Whatever the secret is, at least half of it is hidden."""
    shown = masked(PROVIDER, {"token": token})["token"]
    assert 2 * len(shown.replace(MASK, "", 1)) <= max(len(token), 0)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_describe_takes_any_bytes(body: bytes) -> None:
    """Bytes that are nothing we know are unrecognized, kept, and never an error."""
    assert PROVIDER.describe(body) == Description(type="clickup.unrecognized", subject=None, distinct=True)


@given(payloads)
@settings(max_examples=100, deadline=None)
def test_describe_takes_any_object(payload: object) -> None:
    """Any JSON object gets a type, and a subject that a message header can carry if it is recognized."""
    body = orjson.dumps(payload, option=orjson.OPT_NON_STR_KEYS) if _plain(payload) else str(payload).encode("utf8")
    described = PROVIDER.describe(body)
    assert described.type.startswith("clickup.")
    assert (described.subject is None) == (described.type == "clickup.unrecognized")
    if described.subject is not None:
        entity, _, identity = described.subject.partition("/")
        assert described.type.split(".")[1] == entity
        assert identity
        assert "\x00" not in identity


def _plain(payload: object) -> bool:
    try:
        orjson.dumps(payload, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.json")))
def test_distinct_means_history(name: str) -> None:
    """Only a body with history tells one change from the next: equal bytes without it may be two changes."""
    body = sample(name)
    described = PROVIDER.describe(body)
    if described.type == "clickup.unrecognized":
        assert described.distinct
    else:
        assert described.distinct == ("history_items" in orjson.loads(body))


@pytest.mark.parametrize("depth", [200, 900, 1000, 1020, 100_000])
@pytest.mark.parametrize("opener", [b"[", b'{"a":'], ids=["arrays", "objects"])
def test_describe_takes_any_depth(depth: int, opener: bytes) -> None:
    """A deeply nested body, in the event's place too, is unrecognized and no error."""
    closer = b"]" if opener == b"[" else b"}"
    nested = opener * depth + b"0" + closer * depth
    for body in (nested, b'{"event":' + nested + b"}", b'{"event":"taskUpdated","task_id":' + nested + b"}"):
        assert PROVIDER.describe(body).type == "clickup.unrecognized"


async def look(
    settings_: dict[str, Any], *bodies: bytes, answer: httpx.Response | None = None
) -> tuple[Look, list[Exception | None]]:
    """A look at deliveries, over an API that always gives this answer."""

    async def unknown(refs: Collection[Ref]) -> set[Ref]:
        return set(refs)

    async def nothing(*_arguments: object) -> Any:
        raise AssertionError("a look does not ask for this")

    deliveries = [Delivered(event_id=uuid4(), received_at=NOW, body=body) for body in bodies]
    with respx.mock(base_url=API, assert_all_called=False) as router:
        router.get().mock(side_effect=lambda _request: answer or httpx.Response(200, json={"id": "1", "name": "One"}))
        async with httpx.AsyncClient() as http:
            access = Access(
                settings=settings_, http=http, url=API, turns=Unmetered(), unknown=unknown, versions=nothing,
                living=nothing, observed=nothing, now=lambda: NOW,
            )  # fmt: skip
            found, failed = await PROVIDER.look(deliveries, access)
    assert not any(TOKEN in f"{error} {error!r}" for error in failed.values())
    return found, [failed.get(delivered.event_id) for delivered in deliveries]


async def test_look_sorts_what_can_never_be_from_what_can_not_be_now() -> None:
    """What is unreadable or malformed is impossible, the rest is read, each told by its event's id."""
    updated, strange = b'{"event":"taskUpdated","task_id":"1"}', sample("automation-call-webhook")
    found, (fine, unreadable) = await look({"token": TOKEN, "workspace_id": "9"}, updated, strange)
    assert [record.ref for record, _ in found.records] == [Ref("task", "1")]
    assert fine is None
    assert isinstance(unreadable, Impossible)
    assert "unrecognized delivery" in str(unreadable)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(200, json={"name": "without id"}), Impossible),
        (httpx.Response(400, json={"err": "Bad request", "ECODE": "INPUT_003"}), Impossible),
        (httpx.Response(401, json={"err": "Oauth token not found", "ECODE": "OAUTH_019"}), NotNow),
        (httpx.Response(401, json={"err": "Team not authorized", "ECODE": "OAUTH_027"}), NotNow),
        (httpx.Response(429), NotNow),
        (httpx.Response(502, text="<html>"), NotNow),
    ],
    ids=str,
)
async def test_look_names_failures(answer: httpx.Response, kind: type[Exception]) -> None:
    """Why a delivery could not be looked into is impossible or not now, and the message says what happened."""
    body = b'{"event":"taskUpdated","task_id":"1"}'
    found, (error,) = await look({"token": TOKEN, "workspace_id": "9"}, body, answer=answer)
    assert isinstance(error, kind)
    assert str(error)
    assert found == Look(records=[], tombstones=[])


@pytest.mark.parametrize("settings_", [{}, {"token": None}, {"token": ""}], ids=str)
async def test_look_without_a_token(settings_: dict[str, Any]) -> None:
    """Settings without a token postpone what they are about, and the message says that it is the token."""
    _, (error,) = await look(settings_, b'{"event":"taskUpdated","task_id":"1"}')
    assert isinstance(error, NotNow)
    assert "token" in str(error).lower()


async def test_look_loses_no_delivery() -> None:
    """A key result whose goal is not named can not be read, and that is told and not passed over."""
    body = b'{"event":"keyResultUpdated","key_result_id":"2"}'
    found, (error,) = await look({"token": TOKEN, "workspace_id": "9"}, body)
    assert found.records or error is not None
