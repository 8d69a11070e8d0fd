"""What is called while an event is processed, with a span each: transactions, their statements, the source's API."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from cli.tracing.spans import CLIENT, Span, Tracer, current, ending, fail
from schema.postgres import CALL_SECONDS, Database, Row, Transaction

WORDS: Final = re.compile(
    "|api|v[23]|attachments?|comment|custom_item|docs|field|folder|goal|list|member|oauth|page_listing|pages|reply"
    "|shared|space|tag|task|team|time|time_entries|token|user|webhook|workspaces"
)
"""Of the paths of ClickUp's API, nothing between two slashes among them. Whatever else is in one is an id."""


class TracedDatabase(Database):
    """A database with a span for each transaction of what is processed, and for each statement in it."""

    tracer: Tracer

    @asynccontextmanager
    async def transaction(self, *, within: float = CALL_SECONDS) -> AsyncIterator[Transaction]:
        """See `Database.transaction`."""
        if (parent := current()) is None:
            async with super().transaction(within=within) as transaction:
                yield transaction
            return
        span = self.tracer.start("transaction", CLIENT, {"db.system.name": "postgresql"}, parent=parent)
        with ending(span):
            async with super().transaction(within=within) as transaction:
                yield TracedTransaction(transaction, self.tracer, span)


class TracedTransaction(Transaction):
    """A transaction with a span for each statement, named after its file in `schema/queries`."""

    def __init__(self, transaction: Transaction, tracer: Tracer, parent: Span) -> None:
        self._transaction = transaction
        self._tracer = tracer
        self._parent = parent

    async def fetch(self, name: str, *arguments: object) -> list[Row]:
        """See `Transaction.fetch`."""
        with ending(self._begin(name)):
            return await self._transaction.fetch(name, *arguments)

    async def fetchrow(self, name: str, *arguments: object) -> Row | None:
        """See `Transaction.fetchrow`."""
        with ending(self._begin(name)):
            return await self._transaction.fetchrow(name, *arguments)

    async def execute(self, name: str, *arguments: object) -> int:
        """See `Transaction.execute`."""
        with ending(self._begin(name)):
            return await self._transaction.execute(name, *arguments)

    def _begin(self, name: str) -> Span:
        attributes = {"db.system.name": "postgresql", "db.query.summary": name}
        return self._tracer.start(name, CLIENT, attributes, parent=self._parent)


class TracedClient(httpx.AsyncClient):
    """An HTTP client with a span for each call that is made while something is processed. It tells nobody of it."""

    tracer: Tracer

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """See `httpx.AsyncClient.send`."""
        if (parent := current()) is None:
            return await super().send(request, **options)
        template = pattern(request.url.path)
        attributes: dict[str, str | int] = {
            "http.request.method": request.method,
            "url.template": template,
            "server.address": request.url.host,
        }
        if request.url.port is not None:
            attributes["server.port"] = request.url.port
        span = self.tracer.start(f"{request.method} {template}", CLIENT, attributes, parent=parent)
        with ending(span):
            response = await super().send(request, **options)
            span.set_attribute("http.response.status_code", response.status_code)
            if response.is_error:
                fail(span, str(response.status_code))
            return response


def pattern(path: str) -> str:
    """A path with what is no word of ClickUp's API left out."""
    return "/".join(part if WORDS.fullmatch(part) else "{id}" for part in path.split("/"))
