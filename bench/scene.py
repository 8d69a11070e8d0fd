"""What measured consumers work on: the changes of an integration's tasks, a queue, and rows that are to be right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from bench import edits
from events.envelope import Envelope
from events.rabbitmq import RabbitMQ
from events.topology import KNOWLEDGE
from ingest.snapshot import Known
from ingest.webhooks import wrap
from integrations.registry import providers

PUBLISHED: Final = 500


@dataclass(slots=True, kw_only=True)
class Scene:
    """What all of them work on. `newest`: of each task's attributes."""

    integration_id: UUID
    more: Iterator[edits.Edit]
    sql: Any
    bus: RabbitMQ
    roots: Sequence[int]
    newest: dict[tuple[str, str], int] = field(default_factory=dict)

    def events(self, count: int) -> list[Envelope]:
        """The next deliveries, as ingest would publish them."""
        known, found = Known(id=self.integration_id, provider="clickup", enabled=True), list[Envelope]()
        while len(found) < count:
            edit = next(self.more)
            self.newest[edit.task_id, edit.field] = edit.number
            for body in edit.deliveries:
                now, provider = datetime.now(UTC), providers()["clickup"]
                found.append(wrap(orjson.dumps(body), provider=provider, known=known, now=now, traceparent=None))
        return found

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Let them wait in an empty queue, nothing claimed."""
        await self.sql.execute("TRUNCATE kb.inbox, kb.outbox")
        link = await self.bus.link()
        await (await link.channel.get_queue(KNOWLEDGE.name)).purge()
        for start in range(0, len(envelopes), PUBLISHED):
            await self.bus.publish(envelopes[start : start + PUBLISHED], within=30)

    async def wrong(self) -> int:
        """Rows that do not show the newest values."""
        rows = await self.sql.fetch(
            "SELECT external_id, title, properties FROM kb.objects WHERE external_type = 'task'"
        )
        shown = {(row["external_id"], "name"): row["title"] for row in rows}
        shown |= {
            (row["external_id"], "time_estimate"): orjson.loads(row["properties"]).get("time_estimate") for row in rows
        }
        return sum(str(shown.get(what)) != str(number) for what, number in self.newest.items())

    async def claimed(self) -> int:
        """Events whose effect is committed."""
        return int(await self.sql.fetchval("SELECT count(*) FROM kb.inbox"))

    async def begun(self, since: datetime) -> bool:
        """Whether the first effect is there."""
        query = "SELECT EXISTS (SELECT FROM kb.inbox) OR EXISTS (SELECT FROM kb.objects WHERE amended_at > $1)"
        return bool(await self.sql.fetchval(query, since))
