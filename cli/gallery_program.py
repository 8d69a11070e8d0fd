"""`kb-ingest gallery`: its database role, the bus, who tends hooks, and an OpenID provider if there is one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from starlette.applications import Starlette

from cli import programs
from cli.serving import Server, http_server, listener
from cli.settings import Settings
from cli.setup import configured
from cli.tracing.choice import parts
from cli.tracing.parts import Parts
from consumers.hooks import Busy, Keeper, Wish
from events.topology import QUEUES
from gallery import app, oidc
from gallery.access import Gatekeeper
from gallery.oidc import Oidc
from gallery.problems import Problem
from gallery.resources import HookReport, Resources
from gallery.sign_on import SignOn
from integrations.clickup.client import transport
from integrations.clickup.hook_diagnosis import CHOICES
from schema.postgres import Database


def gallery() -> None:
    """Serve the admin API and the Integration Gallery page."""
    settings = configured()
    settings.need("database_url"), settings.need("amqp_url"), settings.keyring()
    with contextlib.closing(listener(settings.gallery_host, settings.gallery_port, of="GALLERY")) as bound:
        Server(http_server(gallery_app(settings))).run(sockets=[bound])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tending:
    """`gallery.resources.Hooks`, by the program that looks after hooks all day."""

    keeper: Keeper

    async def known(self, integration_id: UUID) -> bool:
        """See `gallery.resources.Hooks`."""
        rows = await self.keeper.database.fetch("hook_secrets", integration_id)
        return any(row["secret_sealed"] is not None and not row["foreign"] for row in rows)

    async def tend(
        self, integration_id: UUID, *, actor: str, wanted: bool, rotate: bool, events: str | None
    ) -> HookReport:
        """See `gallery.resources.Hooks`."""
        keeper = self.keeper.named(actor)
        await keeper.database.execute("hook_know", integration_id)
        chosen = CHOICES[events] if events is not None else None
        try:
            tended = await keeper.tend(
                await keeper.take(integration_id), Wish(wanted=wanted, rotate=rotate, events=chosen)
            )
        except Busy as error:
            raise Problem("in-progress", str(error)) from error
        return HookReport(did=[deed.action for deed in tended.deeds], problem=tended.problem)


def gallery_app(settings: Settings, made_of: Parts | None = None) -> Starlette:
    """The gallery's application. What it publishes again is in the trace of its first time."""
    made_of = made_of or parts(settings, "gallery")

    @asynccontextmanager
    async def resources() -> AsyncIterator[Resources]:
        async with AsyncExitStack() as stack:
            url = settings.need("database_url")
            stack.push_async_callback(asyncio.to_thread, made_of.flush)
            database = await Database(url, program="gallery", role="kb_gallery", max_size=8).open()
            stack.push_async_callback(database.close)
            tending = await Database(url, program="gallery hooks", role="kb_upkeep", max_size=2).open()
            stack.push_async_callback(tending.close)
            http = await stack.enter_async_context(transport())
            issuer = settings.oidc()
            known = Oidc(issuer, await stack.enter_async_context(oidc.transport())) if issuer is not None else None
            client = settings.sign_on()
            keeper = Keeper(
                database=tending,
                opener=programs.opener(settings, tending, http),
                keyring=settings.keyring(),
                public_url=settings.public_address(),
                actor="gallery",
                every=settings.timing().look,
            )
            yield Resources(
                database=database,
                bus=made_of.bus(await programs.open_bus(settings, (), stack)),
                queues=QUEUES,
                keyring=settings.keyring(),
                opener=programs.opener(settings, database, http),
                hooks=Tending(keeper=keeper),
                gatekeeper=Gatekeeper(database, known, programs.now),
                sign_on=SignOn(client=client, oidc=known, keyring=settings.keyring()) if client and known else None,
                public_url=settings.public_address(),
                now=programs.now,
            )

    return app.build(resources)
