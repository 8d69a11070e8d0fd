"""`kb-ingest consume`: one or more consumers in a process, put together from the configuration."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Annotated

import typer
import uvloop

from cli import output, probes
from cli.programs import now, open_bus, opener, until_signal
from cli.serving import keep_loaded, serving
from cli.settings import Settings
from cli.setup import configured
from cli.tracing.choice import parts
from cli.tracing.parts import Parts
from consumers.handlers import Resources, consumers
from consumers.worker import Worker
from integrations.clickup.client import transport


def consume(names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Which consumers to run.")]) -> None:
    """Run one or more consumers. Start more processes to scale."""
    unknown = [name for name in names if name not in consumers()]
    if unknown:
        raise output.Misused(f"no consumer is called {unknown[0]!r}; there are {', '.join(sorted(consumers()))}")
    settings = configured()
    settings.need("database_url"), settings.need("amqp_url"), settings.keyring()
    uvloop.run(_consume(settings, list(dict.fromkeys(names))))


async def _consume(settings: Settings, names: Sequence[str]) -> None:
    await run_consumers(settings, names, until_signal(), alone=True)


async def run_consumers(
    settings: Settings,
    names: Sequence[str],
    stop: asyncio.Event,
    *,
    alone: bool = False,
    made_of: Parts | None = None,
) -> None:
    """Run consumers in this process until `stop`; if they are alone there, with their health and metrics served."""
    made_of = made_of or parts(settings, "-".join(names))
    checks = {name: probes.starting(name) for name in names}
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        stack.push_async_callback(asyncio.to_thread, made_of.flush)
        if alone and settings.metrics_port is not None:
            served = serving(probes.build(checks), host=settings.metrics_host, port=settings.metrics_port, of="METRICS")
            await stack.enter_async_context(served)
        http = await stack.enter_async_context(transport(made_of.client))
        bus = made_of.bus(await open_bus(settings, names, stack))
        wake, knock = asyncio.Event(), asyncio.Event()
        for name in names:
            consumer = consumers()[name]
            database = made_of.database(settings.need("database_url"), program=name, role=consumer.role)
            await database.open()
            stack.push_async_callback(database.close)
            resources = Resources(
                database=database,
                bus=bus,
                keyring=settings.keyring(),
                opener=opener(settings, database, http),
                public_url=settings.public_address(),
                timing=settings.timing(),
                now=now,
                wake=wake,
                knock=knock,
                stop=stop,
            )
            if consumer.queue is not None and consumer.build is not None:
                handle = made_of.handle(consumer.build(resources), consumer.queue)
                worker = Worker(
                    queue=consumer.queue,
                    bus=bus,
                    handle=handle,
                    concurrency=consumer.concurrency,
                    prefetch=consumer.prefetch,
                )
                group.create_task(worker.run(stop), name=name)
                checks[name] = probes.receives(worker)
            else:
                checks[name] = probes.answers(database)
            for background in consumer.background:
                group.create_task(background(resources), name=f"{name} background")
        if alone:
            keep_loaded()
