"""`events replay` and `why`, as an operator meets them, behind a house that follows a source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from integrations.errands import IMPORT
from integrations.sealing import Keyring
from schema.postgres import Database
from tests import source
from tests.cli.conftest import Commands
from tests.conftest import sample
from tests.consumers.following import following
from tests.house import House, house
from tests.source import SPACE, TASK, Source

ABSENT = "6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10"


@pytest.fixture
async def clickup() -> AsyncIterator[Source]:
    async with Source().serving() as running:
        running.answers = source.story()
        yield running


@pytest.fixture
async def at(database: Database, sql: Any, keyring: Keyring, clickup: Source) -> AsyncIterator[House]:
    async with house(database, sql, keyring, clickup.url) as one:
        yield one


async def test_replay_applies_anew_what_was_chosen(configured: Commands, at: House) -> None:
    """By id or by filter; it says how many; the list says what became of each."""
    status, space = await at.deliver(sample("task-status-updated"), sample("space-updated"))
    async with at.consuming():
        await at.idle()
        await at.sql.execute("UPDATE kb.objects SET title = 'spoilt', content_hash = NULL")
        assert (await configured(f"events replay {status.id} --json")).json == {"replayed": 1}
        await at.idle()
        assert (await at.object("task", TASK))["title"] != "spoilt"
        assert (await at.object("space", SPACE))["title"] == "spoilt"
        ended = await configured("events replay --all --type clickup.space --rate 500")
        assert ended.code == 0
        await at.idle()
        assert (await at.object("space", SPACE))["title"] != "spoilt"
    listed = (await configured("events list --json")).json
    assert [(row["event_id"], row["outcome"], row["reason"]) for row in listed] == [
        (str(space.id), "applied", None),
        (str(status.id), "applied", None),
    ]
    assert (await configured("events list --outcome failed --json")).json == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("", 2, "--all"),
        (f"{ABSENT} --all", 2, "--all"),
        ("--all --outcome odd", 2, "applied, failed, waiting"),
        ("--all --rate 0", 2, "--rate"),
        (ABSENT, 1, "events list"),
    ],
)
async def test_replay_says_what_is_wrong(configured: Commands, words: str, code: int, said: str) -> None:
    """One line that helps, and the right exit code."""
    ended = await configured(f"events replay {words}")
    assert ended.code == code
    assert said in ended.error


async def test_why_prints_the_chain_of_a_delivery(configured: Commands, at: House) -> None:
    """Changed, received, journaled, applied, in this order, with the event and the trace; by each of its names."""
    (envelope,) = await at.deliver(sample("task-status-updated"))
    async with at.consuming():
        await at.idle()
    row, trace = await at.object("task", TASK), (envelope.traceparent or "").split("-")[1]
    for name in (TASK, f"task/{TASK}", str(row["id"])):
        (chain,) = (await configured(f"why {name} --json")).json
        event, written = chain["event"], chain["object"]
        assert (event["event_id"], event["type"]) == (str(envelope.id), "clickup.task.status_updated")
        assert event["trace_id"] == trace
        assert chain["job"] is None
        assert written["external_updated_at"] < event["received_at"] < event["published_at"] < event["journaled_at"]
        assert event["received_at"] == written["received_at"] < written["synced_at"]
        assert [heard["outcome"] for heard in chain["heard"]] == ["applied"]
    printed = (await configured(f"why {TASK}")).out
    for expected in (str(envelope.id), "changed in ClickUp", "received", "published", "journaled", "applied", trace):
        assert expected in printed
    assert (await configured(f"why {TASK} --integration {ABSENT}")).code == 1
    assert (await configured(f"why comment/{TASK}")).code == 1


async def test_why_names_the_job_that_wrote_a_row(
    configured: Commands, database: Database, sql: Any, keyring: Keyring
) -> None:
    """A row that an import wrote says which one, and when that began."""
    async with following(database, sql, keyring) as at:
        (chain,) = (await configured(f"why task/{at.ids['task']} --json")).json
        assert (chain["job"]["kind"], chain["event"], chain["heard"]) == (IMPORT, None, [])
        assert chain["job"]["id"] == chain["object"]["caused_by"]
        printed = (await configured(f"why task/{at.ids['task']}")).out
        assert f"import {chain['job']['id']}" in printed


async def test_why_says_what_it_does_not_know(configured: Commands) -> None:
    """An object that is not there is one line."""
    ended = await configured("why task/nope")
    assert ended.code == 1
    assert "task/nope" in ended.error
