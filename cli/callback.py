"""A page on this machine that a browser comes back to with the answer of an OAuth authorization.

Promises: only an answer that carries our state counts, whatever else comes is refused and waited past; the page says
how it all ended; nothing of the answer is shown or logged but an error, escaped.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from cli.output import Failed
from cli.serving import DRAIN_SECONDS, InProcessServer, http_server

HOST: Final = "127.0.0.1"
PAGE_SECONDS: Final = 90.0
"""How long a page waits for the end, which takes less."""
LONGEST_QUOTE: Final = 80
"""Of somebody else's words in a message."""
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the page's own address has the code in it
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>kb-ingest: {0}</title>
<h1>{0}</h1>
<p>{1}</p>
"""
ELSEWHERE: Final = "Nothing was done. Open the address that the terminal shows."
CLOSE: Final = "You may close this window."


class Callback:
    """The page. `address` is where it is, `state` what an answer must carry."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.state = secrets.token_urlsafe(32)
        self._code: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._end: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()

    async def answer(self, request: Request) -> Response:
        """Take what the browser brings; the first that is ours counts, and any other is told the same end."""
        query = request.query_params
        if not secrets.compare_digest(query.get("state", "").encode(), self.state.encode()):
            return _page(400, "Not the answer that is waited for", ELSEWHERE)
        if not self._code.done():
            code, error = query.get("code"), query.get("error")
            if error:
                self._code.set_exception(Failed(_refusal(error)))
            elif code:
                self._code.set_result(code)
            else:
                return _page(400, "An answer without a code", ELSEWHERE)
        await asyncio.wait([self._end], timeout=PAGE_SECONDS)
        title, text = self._end.result() if self._end.done() else ("No end yet", "The terminal says how it ends.")
        return _page(200, title, f"{text} {CLOSE}")

    async def code(self, seconds: float) -> str:
        """The code. Raises `Failed` if nobody brings one in time, or the other side refused."""
        try:
            async with asyncio.timeout(seconds):
                return await self._code
        except TimeoutError:
            hint = "run it again, and see that this is a redirect URL of the app"
            raise Failed(f"no answer came to {self.address} within {seconds:.0f} s; {hint}") from None

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Tell the page how the block ended, however it does."""
        end = ("Not connected", "The terminal says why.")
        try:
            yield
            end = ("Connected", "The integration is made.")
        except Failed as error:
            end = ("Not connected", f"{str(error)[:1].upper()}{str(error)[1:]}.")
            raise
        finally:
            self._end.set_result(end)


@contextlib.asynccontextmanager
async def listening(port: int) -> AsyncIterator[Callback]:
    """The page while inside, on this machine only. Port 0 takes a free one. Raises `Failed` if the port is taken."""
    try:
        bound = socket.create_server((HOST, port))  # listens: a browser that comes early waits in the backlog
    except OSError as error:
        raise Failed(f"{HOST}:{port} cannot be listened on ({error.strerror}); choose another --port") from error
    callback = Callback(f"http://{HOST}:{bound.getsockname()[1]}/callback")
    server = InProcessServer(http_server(Starlette(routes=[Route("/callback", callback.answer)])))
    task = asyncio.create_task(server.serve(sockets=[bound]), name="callback")
    try:
        yield callback
    finally:
        server.should_exit = True
        await asyncio.wait([task], timeout=DRAIN_SECONDS + 2)
        bound.close()


def quote(words: object) -> str:
    """Somebody else's words, short and in one line."""
    return "".join(char if char.isprintable() else " " for char in str(words)[:LONGEST_QUOTE])


def _page(status: int, title: str, text: str) -> Response:
    return HTMLResponse(PAGE.format(html.escape(title), html.escape(text)), status_code=status, headers=HEADERS)


def _refusal(error: str) -> str:
    if error == "access_denied":
        return "access was denied in ClickUp; run it again and allow it there"
    return f"ClickUp refused with {quote(error)!r}; check the app's id and redirect URL, and run it again"
