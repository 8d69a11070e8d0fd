"""What `knowledge`, `journal` and the relay ask of PostgreSQL for a batch of deliveries, by their own functions."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID, uuid4

from bench.filling import BLOCK, INTEGRATIONS, ids
from consumers.outbox import relay_once
from events.applied import tell
from events.bus import Bus
from events.envelope import Envelope
from schema import amendments, knowledge
from schema.knowledge import BEFORE_EVERYTHING
from schema.postgres import Database
from schema.records import Amendment, Cause, Edge, Look, Record, Ref

BATCH: Final = 500
CONSUMER: Final = "knowledge"
BODY: Final = b'{"event":"taskUpdated","text":"' + b"x" * 600 + b'"}'


class Single(Database):
    """A database that is one connection of the caller's, whose settings and process are known."""

    def __init__(self, connection: Any) -> None:
        super().__init__("", program="bench")
        self._one = connection

    @asynccontextmanager
    async def _connection(self, within: float) -> AsyncIterator[Any]:  # noqa: ARG002  the caller waits
        yield self._one


class Hole:
    """A broker that confirms everything and keeps nothing."""

    async def publish(self, envelopes: Sequence[Envelope], *, within: float) -> None:
        """Confirmed."""


async def single(connection: Any) -> Single:
    """The same codecs as a pool of the programs."""
    database = Single(connection)
    await database._prepare(connection)  # noqa: SLF001  its own kind
    return database


@dataclass(slots=True, kw_only=True)
class Batch:
    """Deliveries about so many tasks, anywhere among the `size` objects of one integration's."""

    database: Single
    size: int
    number: int
    refs: list[Ref] = field(default_factory=list)
    events: list[Envelope] = field(default_factory=list)
    observed_at: datetime = BEFORE_EVERYTHING

    def __post_init__(self) -> None:
        """Choose them: any block of the integration, any task in it."""
        dice, blocks = random.Random(self.number), self.size // BLOCK  # noqa: S311  a choice, not a secret
        own = range(self.number % INTEGRATIONS, blocks, INTEGRATIONS)
        tasks = [n for n in range(1, BLOCK) if n % 5 != 4]
        chosen = {dice.choice(own) * BLOCK + dice.choice(tasks) for _ in range(2 * BATCH)}
        self.refs = [Ref("task", str(n)) for n in sorted(chosen)[:: max(1, len(chosen) // BATCH)]][:BATCH]
        self.events = [
            Envelope(
                id=uuid4(), source="/bench", type="clickup.task.updated", subject=f"task/{ref.id}",
                integration_id=self.integration_id, time=datetime.now(UTC), data=BODY,
            )
            for ref in self.refs
        ]  # fmt: skip

    @property
    def integration_id(self) -> UUID:
        """Whose tasks these are."""
        return ids()[self.number % INTEGRATIONS]

    async def journaled(self) -> None:
        """`journal` writes the deliveries down."""
        parts = [
            (one.time, one.id, one.integration_id, one.type, one.subject, None, one.headers(), one.data)
            for one in self.events
        ]
        await self.database.execute("journal_append", *(list(column) for column in zip(*parts, strict=True)))

    async def stated(self) -> None:
        """`knowledge` writes what they state."""
        claimed = await self.database.fetchrow("claimed", CONSUMER, [one.id for one in self.events])
        await self.database.fetch("integration_settings", [self.integration_id])
        known = await knowledge.standing(self.database, self.integration_id, self.refs)
        now = datetime.now(UTC)
        news = [Amendment(ref, "title", "is", f"state {self.number}", now) for ref in self.refs]
        changed = await amendments.amend(
            self.database, self.integration_id, [one for one in news if known[one.ref].lacks(one)]
        )
        if claimed is None or claimed["event_ids"] or len(changed) != len(self.refs):
            raise SystemExit(f"{len(changed)} of {len(self.refs)} rows were amended")
        row = await self.database.fetchrow("database_time")
        assert row is not None  # noqa: S101  it returns one row
        self.observed_at = row["now"]

    async def read(self) -> None:
        """`knowledge` writes what its look found, and all that goes with it."""
        cause, now = Cause(event_id=self.events[0].id, received_at=self.events[0].time), datetime.now(UTC)
        records = [
            Record(
                ref=ref, parent=_list(ref), title=f"state {self.number}", body=f"what a look found {self.number} " * 8,
                status="open", properties={"list_id": _list(ref).id, "space_id": "0", "time_estimate": self.number},
                updated_at=now, edges=(Edge("in_list", ref, _list(ref)),),
            )
            for ref in self.refs
        ]  # fmt: skip
        (integration,) = await self.database.fetch("integration_settings", [self.integration_id])
        async with self.database.transaction() as transaction:
            await transaction.fetch("claim", CONSUMER, [one.id for one in self.events])
            await amendments.compare(transaction, self.integration_id, records)
            changed = await knowledge.apply(
                transaction, integration=integration, source="clickup", observed_at=self.observed_at,
                look=Look(records=[(record, cause) for record in records]),
            )  # fmt: skip
            await tell(transaction, changed, {})
            about = [ref.object_id(self.integration_id) for ref in self.refs]
            await transaction.execute("missed_arrived", self.integration_id, about, [now] * len(about))
            await transaction.execute("sync_succeeded", [self.integration_id])
            await transaction.execute("event_mended", [one.id for one in self.events])
        if len(changed) != len(self.refs):
            raise SystemExit(f"{len(changed)} of {len(self.refs)} rows were written")

    async def relayed(self) -> None:
        """The outbox is read and emptied."""
        await relay_once(self.database, cast("Bus", Hole()))

    def steps(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """In the order of a delivery's way."""
        return {"journaled": self.journaled, "stated": self.stated, "read": self.read, "relayed": self.relayed}


def _list(ref: Ref) -> Ref:
    number = int(ref.id)
    return Ref("list", str(number - number % BLOCK))
