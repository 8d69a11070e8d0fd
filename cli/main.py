"""`kb-ingest`: the commands, and how they end.

Promises: exit 0 when it worked, 1 when it did not, 2 when it was called wrongly; an error is one line that says what
is wrong and what to do, never a traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Final

import typer

from cli import logs, output
from cli.settings import EXAMPLES, ConfigurationError
from events.errors import BusError
from integrations.sealing import SealError
from schema.errors import DatabaseUnavailable, SchemaError

NAME: Final = "kb-ingest"
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "up": ("up", "kb-ingest up --demo --data-dir .data"),
    "ingest": ("ingest_program", "kb-ingest ingest --workers 2"),
    "gallery": ("gallery_program", "kb-ingest gallery"),
    "consume": ("consumer_program", "kb-ingest consume knowledge sync-state"),
    "migrate": ("migrating", "kb-ingest migrate --dry-run"),
    "import": ("job_commands", "kb-ingest import 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10"),
    "sync": ("job_commands", "kb-ingest sync 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10 --verify"),
    "rebuild": ("rebuilding", "kb-ingest rebuild 6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10 --shadow"),
    "send": ("send", "kb-ingest send task-created --integration 6f1d... --times 5"),
    "simulate": ("simulate", "kb-ingest simulate --endpoint http://127.0.0.1:8080/webhooks/clickup"),
    "why": ("why", "kb-ingest why task/868cq4m2x"),
    "doctor": ("doctor", "kb-ingest doctor"),
}
"""Each with the module that has it, as a function of its name, and an example."""
GROUPS: Final[Mapping[str, str]] = {
    "integration": "integration_commands",
    "events": "journal_commands",
    "dead": "dead_commands",
    "webhook": "webhook_commands",
    "jobs": "job_commands",
    "token": "token_commands",
    "keys": "key_commands",
}
"""Each with the module whose `app` it is."""
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
EXPECTED: Final = (ConfigurationError, DatabaseUnavailable, SchemaError, BusError, SealError, output.Failed)


def _version(wanted: bool) -> None:
    if wanted:
        output.say(f"{NAME} {version(NAME)}")
        raise typer.Exit


def _options(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print name and version, and exit.")
    ] = False,
) -> None:
    """What can be asked of no command in particular."""


def application(words: Sequence[str]) -> typer.Typer:
    """The command line, with the command that is named first; with all of them where none of them is.

    What a program does not need it does not load: a third of its start, and megabytes for as long as it runs.
    """
    app = typer.Typer(
        name=NAME,
        help="A company's ClickUp in its knowledge base: correct, and fresh within a second, whatever breaks.",
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode=None,
        epilog=f"Configuration: {', '.join(EXAMPLES)}. Example: kb-ingest up --demo",
    )
    app.callback()(_options)
    alone = words[0] if words and words[0] in COMMANDS.keys() | GROUPS.keys() else None
    for name, (module, example) in COMMANDS.items():
        if alone in {None, name}:
            command = getattr(importlib.import_module(f"cli.{module}"), name.replace("import", "import_"))
            app.command(name, epilog=f"Example: {example}")(command)
    for name, module in GROUPS.items():
        if alone in {None, name}:
            app.add_typer(importlib.import_module(f"cli.{module}").app, name=name)
    return app


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
        result = application(words)(args=words, standalone_mode=False)
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
