"""`kb-ingest ingest`: the public endpoint, put together from the configuration."""

from __future__ import annotations

import os
import tempfile
from typing import Annotated

import typer
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from cli import logs
from cli.serving import Server, http_server, keep_loaded, listener
from cli.settings import Settings, load
from cli.setup import configured
from cli.tracing.choice import parts
from cli.tracing.parts import Parts
from events.embedded import Embedded
from events.rabbitmq import RabbitMQ
from ingest import app
from schema.postgres import Database


def ingest(*, workers: Annotated[int, typer.Option(help="Processes that share the port.", min=1, max=64)] = 1) -> None:
    """Serve the public endpoint that ClickUp delivers to."""
    settings = configured()
    settings.need("database_url"), settings.need("amqp_url"), settings.keyring()
    with listener(settings.ingest_host, settings.ingest_port) as bound:
        if workers == 1:
            Server(http_server(ingest_app(settings))).run(sockets=[bound])
            return
        with tempfile.TemporaryDirectory(prefix="kb-ingest-metrics-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # the workers' counters meet there
            Multiprocess(http_server("cli.ingest_program:ingest_app", workers=workers), sockets=[bound]).run()


def ingest_app(settings: Settings | None = None, made_of: Parts | None = None) -> ASGIApp:
    """The ingest application; uvicorn's workers call this without arguments."""
    if settings is None:
        settings = load()
        logs.configure(level=settings.log_level, form=settings.log_format)
    made_of = made_of or parts(settings, "ingest")
    database = Database(settings.need("database_url"), program="ingest", role="kb_ingest", max_size=8)
    spool = made_of.spool(database) if settings.amqp_url is not None else None
    bus = RabbitMQ(settings.need("amqp_url"), name="kb-ingest ingest") if spool is not None else Embedded(database)
    return made_of.served(
        app.build(
            bus=made_of.bus(bus),
            spool=spool,
            database=database,
            keyring=settings.keyring(),
            max_body=settings.max_body_bytes,
            spool_max=settings.spool_max,
            loaded=keep_loaded,
        )
    )
