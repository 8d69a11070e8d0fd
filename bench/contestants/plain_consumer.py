"""aio-pika and asyncpg, written the plain way: each message one transaction, acknowledged after the commit."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid5

import aio_pika
import asyncpg
import orjson
from aio_pika.abc import AbstractIncomingMessage

QUERIES = Path(os.environ["QUERIES"])
CLAIM, ROWS, AMEND = ((QUERIES / f"{name}.sql").read_text() for name in ("claim", "object_amendable", "object_amend"))


async def apply(connection: asyncpg.Connection, message: AbstractIncomingMessage) -> None:
    """Once only, and no older value over a newer one."""
    delivery = orjson.loads(message.body)
    integration_id = UUID(str(message.headers["cloudEvents_integrationid"]))
    object_id = uuid5(integration_id, f"task/{delivery['task_id']}")
    async with connection.transaction():
        if not await connection.fetch(CLAIM, "knowledge", [UUID(str(message.headers["cloudEvents_id"]))]):
            return
        for row in map(dict, await connection.fetch(ROWS, [object_id])):
            known = row.pop("external_updated_at") or row["observed_at"]
            provisional = row["provisional"] = row["provisional"] or {}
            changed = False
            for item in delivery["history_items"]:
                path = "title" if item["field"] == "name" else f"properties.{item['field']}"
                at = datetime.fromtimestamp(int(item["date"]) / 1000, UTC)
                said = provisional.get(path)
                if at <= known or (said is not None and at <= datetime.fromisoformat(said)):
                    continue
                if item["field"] == "name":
                    row["title"] = item["after"]
                else:
                    row["properties"][item["field"]] = int(item["after"])
                provisional[path] = at.isoformat()
                row["amended_to"] = max(row["amended_to"] or at, at)
                changed = True
            if changed:
                await connection.execute(AMEND, [row])


async def main() -> None:
    """Until it is stopped."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    encode = {"encoder": lambda value: orjson.dumps(value, default=str).decode(), "decoder": orjson.loads}
    await connection.set_type_codec("jsonb", schema="pg_catalog", **encode)
    broker = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    channel = await broker.channel()
    await channel.set_qos(prefetch_count=50)
    queue = await channel.get_queue("kb.knowledge")
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                await apply(connection, message)


if __name__ == "__main__":
    asyncio.run(main())
