"""`kb-ingest simulate`: a simulated ClickUp workspace on its own, to develop against."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Annotated, Any

import typer

from cli import demo, output, programs
from integrations.clickup.simulator.faults import Faults
from integrations.clickup.simulator.server import Simulator

Rate = Annotated[float, typer.Option(min=0.0, max=1.0, help="A share of 1.")]


def simulate(
    *,
    endpoint: Annotated[str | None, typer.Option(help="Where to deliver; without it, register over the API.")] = None,
    host: Annotated[str, typer.Option(help="Address of the API.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the API; 0 takes a free one.")] = 8090,
    rate: Annotated[float, typer.Option(help="Changes a second.", min=0.01, max=500)] = 2.0,
    changes: Annotated[
        int | None, typer.Option(help="After so many its people rest, and it says what became of them.", min=0)
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed tells the same story.")] = 7,
    token: Annotated[str, typer.Option(help="The token that the API accepts.")] = demo.TOKEN,
    limit: Annotated[int, typer.Option(help="API calls a minute.", min=1)] = 100,
    drop: Rate = 0.0,
    duplicate: Rate = 0.0,
    api_errors: Rate = 0.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Serve a simulated ClickUp workspace and deliver its signed webhooks."""
    faults = Faults(drop_rate=drop, duplicate_rate=duplicate, api_error_rate=api_errors)
    simulator = Simulator(seed=seed, token=token, faults=faults, limit_per_minute=limit)
    told = {"delivered": 0, "lost": 0}

    def rested() -> None:
        facts = {"changes": changes} | told | simulator.deliveries.outcomes
        output.json(facts) if json else output.fields(list(facts.items()))

    life = demo.living(simulator, rate=rate, seed=seed, changes=changes, rested=rested)
    asyncio.run(_run(simulator, life, endpoint=endpoint, host=host, port=port, token=token, json=json))


async def _run(
    simulator: Simulator,
    life: AbstractAsyncContextManager[None],
    *,
    endpoint: str | None,
    host: str,
    port: int,
    token: str,
    json: bool,
) -> None:
    stop = programs.until_signal()
    async with AsyncExitStack() as stack:
        try:
            api = await stack.enter_async_context(simulator.serving(host, port))
        except OSError as error:
            raise output.Failed(f"{host}:{port} cannot be bound ({error.strerror}); choose another --port") from error
        facts: dict[str, Any] = {"api": api, "token": token, "workspace": simulator.workspace.team_id}
        if endpoint is not None:
            hook = simulator.register_webhook(endpoint)
            facts |= {"webhook_id": hook.id, "webhook_secret": hook.secret, "endpoint": endpoint}
        output.json(facts) if json else output.fields(list(facts.items()))
        await stack.enter_async_context(life)
        await stop.wait()
