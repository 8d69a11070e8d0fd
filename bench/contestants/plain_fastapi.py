"""FastAPI and aio-pika, written the plain way."""

from __future__ import annotations

import hashlib
import hmac
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import uvicorn
from aio_pika.exceptions import AMQPError
from fastapi import FastAPI, HTTPException, Request

SECRET = os.environ["SECRET"].encode()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """A robust connection and one channel, for as long as the application runs."""
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        app.state.exchange = await channel.get_exchange(os.environ["EXCHANGE"])
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/webhooks/clickup/{integration_id}")
async def receive(integration_id: uuid.UUID, request: Request) -> dict[str, str]:
    """One delivery."""
    body = await request.body()
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("x-signature", "")):
        raise HTTPException(403)
    event_id = str(uuid.uuid4())
    message = aio_pika.Message(
        body,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=event_id,
        headers={"cloudEvents_id": event_id, "cloudEvents_type": "clickup.task.updated"},
    )
    try:
        key = f"clickup.task.updated.{integration_id}"
        await app.state.exchange.publish(message, key, mandatory=True, timeout=5)
    except (AMQPError, TimeoutError) as error:
        raise HTTPException(503) from error
    return {"event_id": event_id}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]))
