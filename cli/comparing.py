"""`kb-ingest sync ID --verify`: the proof that source and knowledge base are equal, or what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from cli import output, programs
from cli.progress import Progress
from cli.settings import Settings
from cli.setup import admin
from consumers.comparison import Comparison, Result
from consumers.differences import Difference
from integrations.budget import Priority
from integrations.clickup.client import transport
from integrations.errands import Options
from integrations.registry import Impossible, NotNow, providers
from schema import integrations

SHOWN: Final = 100


async def verify(settings: Settings, id_: UUID, *, json: bool) -> None:
    """Compare and print. Raises `output.Failed` if anything differs or could not be compared."""
    async with admin(settings) as database, transport() as http:
        rows = await integrations.find(database, id_)
        if not rows:
            raise output.Failed(f"there is no integration {id_}; see `kb-ingest integration list`")
        access = programs.opener(settings, database, http).open(rows[0], Priority.IMPORT)
        with Progress(shown=not json) as progress:
            comparison = Comparison(
                database=database,
                provider=providers()[rows[0]["name"]],
                access=access,
                integration_id=id_,
                options=Options.read(access.settings),
                progress=lambda page, result: progress.step(
                    page.phase, page.done, page.total, sum(result.compared.values())
                ),
            )
            try:
                result = await comparison.run()
            except (Impossible, NotNow) as error:
                raise output.Failed(f"the source could not be read: {error}") from error
    _show(result, json=json)
    if result.differences:
        raise output.Failed(f"{len(result.differences)} differences; `kb-ingest sync {id_} --sweep` heals them")
    if not result.covered:
        raise output.Failed(f"{len(result.failures)} objects could not be read, so nothing is proven; try again later")


def _show(result: Result, *, json: bool) -> None:
    unread = [{"type": one.type, "id": one.id, "reason": one.reason} for one in result.failures]
    if json:
        output.json(
            {
                "compared": result.compared,
                "differences": described(result.differences),
                "count": len(result.differences),
                "unreadable": unread,
                "calls": result.calls,
            }
        )
        return
    compared = [{"type": type_, "count": count} for type_, count in result.compared.items()]
    output.table({"type": "Type", "count": "Compared"}, compared, empty="the source has nothing")
    show_differences(result.differences)
    for one in unread[:SHOWN]:
        output.say(f"not comparable: {one['type']} {one['id']}: {one['reason']}")


def described(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences for scripts."""
    return [
        {
            "type": one.ref.type,
            "id": one.ref.id,
            "difference": one.what,
            "fields": list(one.fields),
            "title": one.title,
        }
        for one in differences
    ]


def show_differences(differences: Sequence[Difference]) -> None:
    """Differences for people: the first ones as a table."""
    columns = {"type": "Type", "id": "Id", "difference": "Difference", "fields": "Fields", "title": "Title"}
    rows = [one | {"fields": ", ".join(one["fields"]) or None} for one in described(differences[:SHOWN])]
    output.table(columns, rows, empty="zero differences")
    if len(differences) > SHOWN:
        output.say(f"... and {len(differences) - SHOWN} more; --json prints all")
