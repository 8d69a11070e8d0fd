"""FastStream's broker behind a Starlette route, written the plain way."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.contestants import reading

exchange = RabbitExchange(os.environ["EXCHANGE"], type=ExchangeType.TOPIC, durable=True)
broker = RabbitBroker(os.environ["AMQP_URL"], default_channel=Channel(publisher_confirms=True, on_return_raises=True))


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """The broker, for as long as the application runs."""
    async with broker:
        yield


async def receive(request: Request) -> Response:
    """One delivery."""
    started = time.monotonic()
    integration_id: uuid.UUID = request.path_params["integration_id"]
    body = await request.body()
    if not reading.genuine(integration_id, body, request.headers.get("x-signature", "")):
        return Response(status_code=403)
    event = reading.headers(integration_id, body, request.headers.get("traceparent", ""))
    publish_started, status = time.monotonic(), 200
    try:
        await broker.publish(
            body,
            exchange=exchange,
            routing_key=f"{event['cloudEvents_type']}.{integration_id}",
            mandatory=True,
            persist=True,
            content_type="application/json",
            message_id=str(uuid.uuid4()),
            headers=dict(event),
            timeout=5,
        )
    except Exception:
        status = 503
    reading.answered(started, body, event, publish_started, status)
    return JSONResponse({"event_id": event["cloudEvents_id"]}, status_code=status)


app = Starlette(lifespan=lifespan, routes=[Route("/webhooks/clickup/{integration_id:uuid}", receive, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]))
