"""What a request costs before anybody does anything with it: ingest's HTTP server, and a body read and thrown away."""

from __future__ import annotations

import os
from typing import Any

import uvicorn

from cli.serving import http_server, listener

ANSWER = b'{"event_id":"00000000-0000-8000-8000-000000000000"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """200, once the body is there."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    with listener("127.0.0.1", int(os.environ["PORT"])) as bound:
        uvicorn.Server(http_server(answer)).run(sockets=[bound])
