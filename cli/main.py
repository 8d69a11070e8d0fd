"""`kb-ingest`: the commands, and how they end.

Promises: exit 0 when it worked, 1 when it did not, 2 when it was called wrongly; an error is one line that says what
is wrong and what to do, never a traceback.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop

from cli import (
    dead_commands,
    integration_commands,
    job_commands,
    journal_commands,
    key_commands,
    logs,
    output,
    programs,
    rebuilding,
    send,
    simulate,
    token_commands,
    webhook_commands,
    why,
)
from cli.doctor import doctor
from cli.settings import EXAMPLES, ConfigurationError, Settings, load
from cli.setup import configured
from consumers.handlers import consumers
from events.errors import BusError
from integrations.sealing import SealError
from schema import migrate as migrations
from schema.errors import DatabaseUnavailable, SchemaError

NAME: Final = "kb-ingest"

app = typer.Typer(
    name=NAME,
    help="A company's ClickUp in its knowledge base: correct, and fresh within a second, whatever breaks.",
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    epilog=f"Configuration: {', '.join(EXAMPLES)}. Example: kb-ingest up --demo",
)
app.add_typer(integration_commands.app, name="integration")
app.add_typer(journal_commands.app, name="events")
app.add_typer(dead_commands.app, name="dead")
app.add_typer(webhook_commands.app, name="webhook")
app.add_typer(job_commands.jobs_app, name="jobs")
app.add_typer(token_commands.app, name="token")
app.add_typer(key_commands.app, name="keys")

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
EXPECTED: Final = (ConfigurationError, DatabaseUnavailable, SchemaError, BusError, SealError, output.Failed)


def _version(wanted: bool) -> None:
    if wanted:
        output.say(f"{NAME} {version(NAME)}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print name and version, and exit.")
    ] = False,
) -> None:
    """What can be asked of no command in particular."""


@app.command("up", epilog="Example: kb-ingest up --demo --data-dir .data")
def up_(
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Add a simulated ClickUp workspace that delivers.")] = False,
    data_dir: Annotated[Path, typer.Option(help="Where the embedded PostgreSQL keeps its data.")] = Path(".data"),
    rate: Annotated[float, typer.Option(help="Changes a second in the demo.", min=0.1, max=500)] = 4.0,
) -> None:
    """Run everything in one process; embedded PostgreSQL and bus unless DATABASE_URL and AMQP_URL are set."""
    from cli import up  # noqa: PLC0415  the gallery's web framework is for those who serve it

    uvloop.run(up.up(load(), demo=demo, data_dir=data_dir, rate=rate))


@app.command(epilog="Example: kb-ingest ingest --workers 2")
def ingest(*, workers: Annotated[int, typer.Option(help="Processes that share the port.", min=1, max=64)] = 1) -> None:
    """Serve the public endpoint that ClickUp delivers to."""
    programs.run_ingest(configured(), workers=workers)


@app.command(epilog="Example: kb-ingest gallery")
def gallery() -> None:
    """Serve the admin API and the Integration Gallery page."""
    from cli import gallery_program  # noqa: PLC0415  as above

    gallery_program.run_gallery(configured())


@app.command(epilog="Example: kb-ingest consume knowledge sync-state")
def consume(names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Which consumers to run.")]) -> None:
    """Run one or more consumers. Start more processes to scale."""
    unknown = [name for name in names if name not in consumers()]
    if unknown:
        raise output.Misused(f"no consumer is called {unknown[0]!r}; there are {', '.join(sorted(consumers()))}")
    settings = configured()
    settings.need("database_url"), settings.need("amqp_url"), settings.keyring()
    uvloop.run(_consume(settings, list(dict.fromkeys(names))))


async def _consume(settings: Settings, names: Sequence[str]) -> None:
    await programs.run_consumers(settings, names, programs.until_signal(), alone=True)


@app.command(epilog="Example: kb-ingest migrate --dry-run")
def migrate(*, dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be applied.")] = False) -> None:
    """Bring the database schema up to date. Safe to run twice, or by two processes at once."""
    url = load().need("database_url")
    done = asyncio.run(
        migrations.migrate(url, dry_run=dry_run, applied=lambda one: output.say(f"applied {_title(one)}"))
    )
    if dry_run:
        for migration in done:
            output.say(f"would apply {_title(migration)}")
    if not done:
        output.say("the schema is up to date")


def _title(migration: migrations.Migration) -> str:
    return f"{migration.version:04} {migration.name}"


app.command("import", epilog="Example: kb-ingest import 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10")(job_commands.import_)
app.command("sync", epilog="Example: kb-ingest sync 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10 --verify")(job_commands.sync)
app.command(epilog="Example: kb-ingest rebuild 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10 --shadow")(rebuilding.rebuild)
app.command(epilog="Example: kb-ingest send task-created --integration 6f1d... --times 5")(send.send)
app.command(epilog="Example: kb-ingest simulate --endpoint http://127.0.0.1:8080/webhooks/clickup")(simulate.simulate)
app.command(epilog="Example: kb-ingest why task/868cq4m2x")(why.why)
app.command(epilog="Example: kb-ingest doctor")(doctor)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit."""
    for number in (0, 1, 2):  # one that is closed would be given to the next socket or file, and libuv aborts
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    try:
        code = run(arguments)
    except Exception as error:
        output.complain(f"this should not have happened, please report it: {logs.told(error)}")
        code = FAILED
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    words = list(arguments) if arguments is not None else sys.argv[1:]
    return _run(words) if words else _run(["--help"]) or USAGE


def _run(words: Sequence[str]) -> int:
    try:
        result = app(args=words, standalone_mode=False)
    except output.Misused as error:
        output.complain(str(error))
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except typer.TyperException as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "kb-ingest")
        output.complain(f"{error.format_message()} (see `{where} --help`)")
        return USAGE
    except EXPECTED as error:
        output.complain(str(error))
        return FAILED
    except BaseExceptionGroup as group:
        expected, rest = group.split(EXPECTED)
        if expected is None or rest is not None:
            raise
        output.complain(str(_first(expected)))
        return FAILED
    return result if isinstance(result, int) else 0


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
