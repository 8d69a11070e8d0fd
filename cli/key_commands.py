"""`kb-ingest keys ...`: make encryption keys, see what each one seals, seal everything with the first one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from cli import audit, output
from cli.progress import Progress
from cli.settings import Settings, load
from cli.setup import admin
from integrations import rotation, sealing
from integrations.rotation import Report
from integrations.sealing import Keyring, key_id

app = typer.Typer(help="Encryption keys.", epilog="Example: kb-ingest keys generate")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(epilog="Example: export INTEGRATION_ENCRYPTION_KEY=$(kb-ingest keys generate)")
def generate() -> None:
    """Print a new encryption key."""
    output.say(sealing.generate())


@app.command("list", epilog="Example: kb-ingest keys list --json")
def list_(*, json: Json = False) -> None:
    """The ids of the keys that are set, and how many rows each one seals. A key itself is never shown."""
    settings = load()
    rows = uses(settings.keyring(), asyncio.run(_tally(settings)))
    if json:
        output.json(rows)
    else:
        output.table({"key": "Key", "use": "Use", "rows": "Rows"}, rows, empty="no key is set")


async def _tally(settings: Settings) -> dict[str, int]:
    async with admin(settings) as database:
        return await rotation.tally(database)


def uses(keyring: Keyring, counts: dict[str, int]) -> list[dict[str, Any]]:
    """Each key that is set or seals something: its id, what it is for, how many rows it seals."""
    first, *others = dict.fromkeys(key_id(key).hex() for key in keyring.keys)
    known = {first: "seals and opens"} | dict.fromkeys(others, "opens")
    rest = {key: rotation.NO_KEY.get(key, "not set: these rows do not open") for key in counts if key not in known}
    return [{"key": key, "use": use, "rows": counts.get(key, 0)} for key, use in (known | rest).items()]


@app.command(epilog="Example: kb-ingest keys rotate --json")
def rotate(*, json: Json = False) -> None:
    """Seal everything anew with the first key, while programs work. Interrupted, run it again."""
    settings = load()
    report = asyncio.run(_rotate(settings, settings.keyring(), shown=not json))
    if json:
        output.json(_fields(report))
    else:
        _show(report)
    if report.unopened:
        raise output.Failed(f"{len(report.unopened)} row(s) do not open and stayed as they were, see above")
    if not report.done:
        raise output.Failed("a program still seals with another key: restart it with the new key first, then run again")


async def _rotate(settings: Settings, keyring: Keyring, *, shown: bool) -> Report:
    async with admin(settings) as database:
        with Progress(shown=shown, unit="rows") as progress:
            report = await rotation.rotate(database, keyring, lambda seen, total: progress.step("sealing", seen, total))
        details = {"key": report.key, "renewed": report.renewed, "unopened": len(report.unopened)}
        await audit.write(database, "keys_rotate", details)
        return report


def _fields(report: Report) -> dict[str, Any]:
    return {
        "key": report.key,
        "before": report.before,
        "after": report.after,
        "renewed": report.renewed,
        "unopened": [{"row": row, "reason": reason} for row, reason in report.unopened.items()],
    }


def _show(report: Report) -> None:
    keys = dict.fromkeys([report.key, *report.before, *report.after])
    rows = [{"key": key, "before": report.before.get(key, 0), "after": report.after.get(key, 0)} for key in keys]
    output.table({"key": "Key", "before": "Rows before", "after": "Rows after"}, rows, empty="nothing is sealed")
    for reason in report.unopened.values():
        output.say(reason)
    output.say(f"sealed {report.renewed} row(s) anew with key {report.key}")
