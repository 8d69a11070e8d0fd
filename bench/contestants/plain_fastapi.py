"""FastAPI and aio-pika, written the plain way."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import uvicorn
from aio_pika.exceptions import AMQPError
from fastapi import FastAPI, HTTPException, Request

from bench.contestants import reading


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
    started = time.monotonic()
    body = await request.body()
    if not reading.genuine(integration_id, body, request.headers.get("x-signature", "")):
        raise HTTPException(403)
    event = reading.headers(integration_id, body, request.headers.get("traceparent", ""))
    event_id = event["cloudEvents_id"]
    message = aio_pika.Message(
        body,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=str(uuid.uuid4()),
        headers=dict(event),
    )
    publish_started, status = time.monotonic(), 200
    try:
        key = f"{event['cloudEvents_type']}.{integration_id}"
        await app.state.exchange.publish(message, key, mandatory=True, timeout=5)
    except (AMQPError, TimeoutError) as error:
        status = 503
        raise HTTPException(503) from error
    finally:
        reading.answered(started, body, event, publish_started, status)
    return {"event_id": event_id}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]))
