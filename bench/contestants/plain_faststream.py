"""FastStream's broker behind a Starlette route, written the plain way."""

from __future__ import annotations

import hashlib
import hmac
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SECRET = os.environ["SECRET"].encode()
exchange = RabbitExchange(os.environ["EXCHANGE"], type=ExchangeType.TOPIC, durable=True)
broker = RabbitBroker(os.environ["AMQP_URL"], default_channel=Channel(publisher_confirms=True, on_return_raises=True))


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """The broker, for as long as the application runs."""
    async with broker:
        yield


async def receive(request: Request) -> Response:
    """One delivery."""
    body = await request.body()
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("x-signature", "")):
        return Response(status_code=403)
    event_id = str(uuid.uuid4())
    try:
        await broker.publish(
            body,
            exchange=exchange,
            routing_key=f"clickup.task.updated.{request.path_params['integration_id']}",
            mandatory=True,
            persist=True,
            content_type="application/json",
            message_id=event_id,
            headers={"cloudEvents_id": event_id, "cloudEvents_type": "clickup.task.updated"},
            timeout=5,
        )
    except Exception:
        return Response(status_code=503)
    return JSONResponse({"event_id": event_id})


app = Starlette(lifespan=lifespan, routes=[Route("/webhooks/clickup/{integration_id}", receive, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]))
