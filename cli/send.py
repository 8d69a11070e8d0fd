"""`kb-ingest send`: deliver a signed sample event to an endpoint, as ClickUp would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import httpx
import orjson
import typer

import integrations.clickup
from cli import output
from cli.settings import Settings, load, url_fault
from cli.setup import admin, secret
from integrations.clickup.webhook import sign
from integrations.sealed_rows import open_secret

SAMPLES: Final = Path(integrations.clickup.__file__).parent / "samples"
ANSWER_SECONDS: Final = 7.0
"""ClickUp's own patience (webhook health page, official)."""


def names() -> list[str]:
    """The samples there are."""
    return sorted(path.stem for path in SAMPLES.glob("*.json"))


def send(
    samples: Annotated[list[str] | None, typer.Argument(metavar="[SAMPLE]...", help="Names; see --list.")] = None,
    *,
    integration: Annotated[UUID | None, typer.Option(help="Sign with this integration's secret.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Where to; else this machine's ingest.")] = None,
    webhook_secret: Annotated[str | None, typer.Option("--secret", help="Sign with this; better from a file.")] = None,
    secret_file: Annotated[Path | None, typer.Option(help="A file with the secret; - is standard input.")] = None,
    webhook_id: Annotated[str | None, typer.Option(help="Put this hook's id into the body.")] = None,
    file: Annotated[Path | None, typer.Option(help="Send this file; with --secret-file unchanged to the byte.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Send every sample.")] = False,
    times: Annotated[int, typer.Option(help="Deliver each so often.", min=1, max=1000)] = 1,
    show: Annotated[bool, typer.Option("--list", help="List the samples.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Deliver signed sample events to an endpoint."""
    if show:
        output.json(names()) if json else output.say("\n".join(names()))
        return
    chosen = names() if everything else samples or ([] if file else ["task-created"])
    if missing := [name for name in chosen if name not in names()]:
        raise output.Misused(f"no sample is called {missing[0]!r}; see `kb-ingest send --list`")
    given = secret(webhook_secret, secret_file, what="the secret")
    if endpoint is not None and (wrong := url_fault(endpoint, "http", "https")) is not None:
        raise output.Failed(f"--endpoint {wrong}; for example http://127.0.0.1:8080/webhooks/clickup")
    if integration is None and (given is None or endpoint is None):
        raise output.Misused("give --integration ID, or --secret-file together with --endpoint")
    try:
        bodies = [(name, (SAMPLES / f"{name}.json").read_bytes()) for name in chosen]
        if file is not None:
            bodies.append((file.name, file.read_bytes()))
    except OSError as error:
        raise output.Failed(f"{file} cannot be read: {error.strerror}") from error
    answers = asyncio.run(
        _send(load(), bodies, integration=integration, endpoint=endpoint, secret_=given, hook=webhook_id, times=times)
    )
    if json:
        output.json(answers)
    else:
        columns = {"sample": "Sample", "status": "Status", "milliseconds": "ms", "answer": "Answer"}
        output.table(columns, answers, empty="nothing was sent")
    if any(answer["status"] != httpx.codes.OK for answer in answers):
        raise output.Failed("not every delivery was answered 200")


async def _send(
    settings: Settings,
    bodies: Sequence[tuple[str, bytes]],
    *,
    integration: UUID | None,
    endpoint: str | None,
    secret_: str | None,
    hook: str | None,
    times: int,
) -> list[dict[str, Any]]:
    if integration is not None and secret_ is None:
        hook_found, secret_ = await _own_secret(settings, integration)
        hook = hook or hook_found
    url = endpoint or f"http://{settings.ingest_host}:{settings.ingest_port}/webhooks/clickup/{integration}"
    answers: list[dict[str, Any]] = []
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS) as http:
        for name, sample in bodies:
            body = readdressed(sample, hook) if hook is not None else sample
            answers += [{"sample": name} | await _deliver(http, url, body, secret_ or "") for _ in range(times)]
    return answers


async def _deliver(http: httpx.AsyncClient, url: str, body: bytes, secret_: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "X-Signature": sign(secret_, body)}
    try:
        response = await http.post(url, content=body, headers=headers)
    except httpx.HTTPError as error:
        raise output.Failed(f"{url} did not answer ({type(error).__name__}); is ingest running?") from error
    milliseconds = round(response.elapsed.total_seconds() * 1000, 1)
    return {"status": response.status_code, "milliseconds": milliseconds, "answer": response.text[:200]}


def readdressed(body: bytes, webhook_id: str) -> bytes:
    """The same delivery from another hook. Raises `output.Failed` if it is not a JSON object."""
    try:
        return orjson.dumps(orjson.loads(body) | {"webhook_id": webhook_id})
    except (orjson.JSONDecodeError, TypeError) as error:
        raise output.Failed(
            "the body is not a JSON object, so no webhook's id can be put into it; sign it with --secret-file instead, "
            "without --integration and --webhook-id"
        ) from error


async def _own_secret(settings: Settings, integration: UUID) -> tuple[str, str]:
    keyring = settings.keyring()
    async with admin(settings) as database:
        for row in await database.fetch("webhook_secrets", [integration]):
            if row["secret_id"] is not None:
                return row["webhook_id"], open_secret(keyring, row["secret_id"], row["secret_sealed"])
    raise output.Failed(f"integration {integration} has no webhook secret; see `kb-ingest integration list`")
