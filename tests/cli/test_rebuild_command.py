"""`kb-ingest rebuild`, as an operator meets it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from integrations.clickup import mapping
from integrations.sealing import Keyring
from schema.postgres import Database
from tests.cli.conftest import Commands
from tests.consumers.following import Following, following

ABSENT = "6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10"
LIST = mapping.list_

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
async def at(configured: Commands, database: Database, sql: Any, keyring: Keyring) -> AsyncIterator[Following]:
    async with following(database, sql, keyring) as one:
        configured.configure(CLICKUP_API_URL=one.opener.clickup_url)
        yield one


async def test_build_compare_promote_discard(
    configured: Commands, at: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapping with a fault shows in the diff before anything is written; the mended one differs in nothing."""
    id_ = at.connected.id
    monkeypatch.setattr(mapping, "list_", lambda raw, **more: replace(LIST(raw, **more), title="Oops"))
    built = (await configured(f"rebuild {id_} --shadow --json")).json["built"]
    found = (await configured(f"rebuild {id_} --diff --json")).json
    assert (found["compared"], found["unread"]) == (built, [])
    assert found["count"] == len(found["differences"]) == built["list"]
    assert {(one["type"], one["difference"], *one["fields"]) for one in found["differences"]} == {
        ("list", "different", "title")
    }
    shown = await configured(f"rebuild {id_} --diff")
    assert shown.code == 0
    assert "Different" in shown.out
    assert "title" in shown.out
    assert (await at.object("list", at.ids["list"]))["title"] == "Incidents"  # type: ignore[index]
    monkeypatch.setattr(mapping, "list_", LIST)
    await at.sql.execute("UPDATE kb.objects SET title = 'spoilt', content_hash = NULL WHERE external_type = 'list'")
    ended = await configured(f"rebuild {id_} --shadow")
    assert ended.code == 0
    assert "nothing is changed yet" in ended.out
    promoted = (await configured(f"rebuild {id_} --promote --json")).json
    assert promoted["breakdown"] == {"list": {"imported": built["list"]}}
    assert (await at.object("list", at.ids["list"]))["title"] == "Incidents"  # type: ignore[index]
    assert "zero differences" in (await configured(f"rebuild {id_} --diff")).out
    assert f"rebuild {promoted['job']}" in (await configured(f"why list/{at.ids['list']}")).out
    assert (await configured(f"jobs show {promoted['job']} --json")).json["kind"] == "rebuild"
    assert (await configured(f"rebuild {id_} --promote")).code == 0
    assert (await configured(f"rebuild {id_} --discard --json")).json == {"discarded": True}
    for step in ("diff", "promote", "discard"):
        ended = await configured(f"rebuild {id_} --{step}")
        assert ended.code == 1
        assert "no shadow" in ended.error


async def test_what_is_wrong_is_one_line(configured: Commands, at: Following) -> None:
    """None or several steps, an unknown integration, an unfinished shadow, a source that refuses."""
    id_ = at.connected.id
    for words in ("", "--diff --promote"):
        ended = await configured(f"rebuild {id_} {words}")
        assert ended.code == 2
        assert "--shadow" in ended.error
    ended = await configured(f"rebuild {ABSENT} --shadow")
    assert ended.code == 1
    assert "integration list" in ended.error
    at.simulator.workspace.disable_member(at.simulator.workspace.owner.id)
    ended = await configured(f"rebuild {id_} --shadow --json")
    assert ended.code == 1
    assert "TokenRefused" in ended.error
    for step in ("diff", "promote"):
        ended = await configured(f"rebuild {id_} --{step}")
        assert ended.code == 1
        assert "not finished" in ended.error
