"""A subscriber of kb-ingest: prints each change of a task or a comment once. Needs aio-pika; see ../subscribing.md.

AMQP_URL=amqp://search:secret@localhost:5672/ python subscriber.py
"""

import asyncio
import json
import os

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

QUEUE = "search.documents"
BINDINGS = ("knowledge.task.#", "knowledge.comment.#")
BOUNDS = {"x-queue-type": "quorum", "x-max-length": 100_000, "x-overflow": "drop-head"}

versions: dict[str, int] = {}  # a real service keeps them in the transaction of its effect


def handle(message: AbstractIncomingMessage) -> None:
    """The effect. The same message a second time, or one that was overtaken, has none."""
    change = json.loads(message.body)
    if change["version"] <= versions.get(change["id"], 0):
        return
    versions[change["id"]] = change["version"]
    line = message.headers["cloudEvents_type"], change["external_id"], change["version"], change["title"]
    print(*line, flush=True)  # noqa: T201


async def main() -> None:
    """Subscribe, and go on for ever; a lost connection is made again with all that was declared."""
    async with await aio_pika.connect_robust(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        queue = await channel.declare_queue(QUEUE, durable=True, arguments=BOUNDS)
        for key in BINDINGS:
            await queue.bind("kb.events", key)
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():  # acks at the end, rejects on an error
                    handle(message)


if __name__ == "__main__":
    asyncio.run(main())
