"""`kb-ingest up`: everything in one process, on embedded defaults where nothing else is configured."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop

from cli import demo as demo_workspace
from cli import gallery_program, ingest_program, live, logs, output, programs
from cli.consumer_program import run_consumers
from cli.database_server import database_server
from cli.serving import serving
from cli.settings import Secret, Settings, load
from cli.token_commands import new_token
from cli.tracing.choice import parts
from cli.tracing.parts import Parts
from consumers.handlers import consumers
from gallery.identity import SCOPES
from integrations.clickup.simulator.server import Simulator
from integrations.sealing import generate
from schema import tokens
from schema.migrate import migrate
from schema.postgres import Database

KEY_FILE: Final = "encryption.key"
TOKEN_FILE: Final = "api.token"  # noqa: S105  a file's name
LOG_FILE: Final = "kb-ingest.log"
DEMO_SEED: Final = 7


def up(
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Add a simulated ClickUp workspace that delivers.")] = False,
    data_dir: Annotated[Path, typer.Option(help="Where the embedded PostgreSQL keeps its data.")] = Path(".data"),
    rate: Annotated[float, typer.Option(help="Changes a second in the demo.", min=0.1, max=500)] = 4.0,
) -> None:
    """Run everything in one process; embedded PostgreSQL and bus unless DATABASE_URL and AMQP_URL are set."""
    uvloop.run(_run(load(), demo=demo, data_dir=data_dir, rate=rate))


async def _run(settings: Settings, *, demo: bool, data_dir: Path, rate: float) -> None:
    """Run until a signal. What was accepted stays for the next start."""
    stop = programs.until_signal()
    folder = _made(data_dir)
    logs.configure(level=settings.log_level, form=settings.log_format, file=folder / LOG_FILE)
    async with AsyncExitStack() as stack:
        embedded = settings.database_url is None
        settings = await _with_defaults(settings, folder, stack)
        await migrate(settings.need("database_url"))
        database = await Database(settings.need("database_url"), program="up", role="kb_admin", max_size=2).open()
        stack.push_async_callback(database.close)
        simulator = Simulator(seed=DEMO_SEED, token=demo_workspace.TOKEN)
        if demo:
            await demo_workspace.forget(database)
            api = await stack.enter_async_context(simulator.serving())
            settings = replace(settings, clickup_api_url=Secret(api))
        ingest_url = f"http://{settings.ingest_host}:{settings.ingest_port}"
        made_of = parts(settings, "up")
        await _start_programs(settings, made_of, stack, stop)
        gallery = gallery_program.gallery_app(settings, made_of)
        host, port = settings.gallery_host, settings.gallery_port
        await stack.enter_async_context(serving(gallery, host=host, port=port, of="GALLERY"))
        header = [
            ("gallery", f"http://{host}:{port}/   API: http://{host}:{port}/docs"),
            ("sign in", await _token(database, folder / TOKEN_FILE)),
            ("ingest", f"{ingest_url}/webhooks/clickup"),
            ("health", f"{ingest_url}/readyz   {ingest_url}/metrics"),
            ("database", settings.need("database_url") if embedded else "from DATABASE_URL"),
            ("bus", "embedded, in PostgreSQL" if settings.amqp_url is None else "RabbitMQ, from AMQP_URL"),
            ("log", str(folder / LOG_FILE)),
        ]
        if demo:
            id_ = await demo_workspace.connect(database, settings.keyring(), simulator, ingest_url=ingest_url)
            header.append(("demo", f"simulated ClickUp, integration {id_}"))
            await stack.enter_async_context(demo_workspace.living(simulator, rate=rate, seed=DEMO_SEED))
        await live.show(database, header=header, stop=stop)
        output.say("stopping ...")
    output.say("stopped")


async def _token(database: Database, file: Path) -> str:
    """An API token that may do everything, kept for the next start beside the key."""
    text = _read(file)
    row = await tokens.find(database, tokens.digest(text)) if text is not None else None
    if text is not None and row is not None and row["revoked_at"] is None:
        return text
    new, text = new_token(random=os.urandom(tokens.OCTETS), now=programs.now(), name="up", scopes=list(SCOPES))
    await tokens.create(database, new)
    _keep(file, text)
    return text


def _read(file: Path) -> str | None:
    return file.read_text().strip() if file.exists() else None


def _keep(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output.Failed(f"{folder} cannot be made ({error.strerror}); choose another --data-dir") from error
    return folder.resolve()


async def _with_defaults(settings: Settings, folder: Path, stack: AsyncExitStack) -> Settings:
    """What is not configured: a database server of our own, a key kept beside its data."""
    update: dict[str, Any] = {}
    if settings.database_url is None:
        url = await stack.enter_async_context(database_server(folder / "postgres"))
        update["database_url"] = Secret(url)
    if settings.integration_encryption_key is None:
        file = folder / KEY_FILE
        if (key := _read(file)) is None:
            _keep(file, key := generate())
        update["integration_encryption_key"] = Secret(key)
    return replace(settings, **update)


async def _start_programs(settings: Settings, made_of: Parts, stack: AsyncExitStack, stop: asyncio.Event) -> None:
    """Ingest and every consumer. On the way out ingest ends first, so that what it accepted is still worked on."""
    ended = asyncio.Event()
    running = run_consumers(settings, sorted(consumers()), ended, made_of=made_of)
    work = asyncio.create_task(running, name="consumers")
    work.add_done_callback(lambda _task: stop.set())

    async def end() -> None:
        ended.set()
        await work

    stack.push_async_callback(end)
    application = ingest_program.ingest_app(settings, made_of)
    await stack.enter_async_context(serving(application, host=settings.ingest_host, port=settings.ingest_port))
