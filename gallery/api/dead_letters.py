"""`/dead-letters`: what no consumer could handle. They stay on the broker, and are nobody else's while looked at.

So one request looks at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, status

from events.dead_letters import Choice, DeadLetter, dead_letters
from gallery import models
from gallery.idempotency import Once
from gallery.problems import Problem, told
from gallery.resources import InTheNameOf, Shared, Tenant, need

router = APIRouter(prefix="/dead-letters", tags=["dead letters"], route_class=Once)
READ: Final = [Depends(need("events:read"))]
REPLAY: Final = [Depends(need("events:replay"))]
LOOK_SECONDS: Final = 30.0
AT_ONCE: Final = 1000
_turn = asyncio.Lock()


@router.get("", dependencies=READ, responses=told())
async def list_dead_letters(
    tenant: InTheNameOf,
    shared: Shared,
    *,
    consumer: Annotated[str | None, Query(max_length=100)] = None,
    integration_id: Annotated[UUID | None, Query()] = None,
    type: Annotated[str | None, Query(max_length=200, description="Only types that begin so.")] = None,  # noqa: A002
    reason: Annotated[str | None, Query(max_length=300, description="Only with this in the reason.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> models.DeadLetters:
    """Dead letters, newest first, and grouped by their reason."""
    wanted = Choice(consumer=consumer, integration_id=integration_id, type=type, reason=reason)
    async with _looking(tenant, shared, wanted) as found:
        groups = Counter((one.reason, one.consumer) for one in found)
        return models.DeadLetters(
            items=[models.DeadLetter(**_outline(one)) for one in found[:limit]],
            reasons=[
                models.Reason(reason=why, consumer=whose, count=count) for (why, whose), count in groups.most_common(50)
            ],
            count=len(found),
        )


@router.get("/{id:uuid}", dependencies=READ, responses=told(404))
async def show_dead_letter(id: UUID, tenant: InTheNameOf, shared: Shared) -> models.DeadLetterDetail:  # noqa: A002
    """One dead letter with what was delivered."""
    async with _looking(tenant, shared, Choice(ids=[id])) as found:
        one = _first(found)
        return models.DeadLetterDetail(
            **_outline(one),
            headers={name: _plain(value) for name, value in one.delivery.headers.items()},
            payload=one.delivery.body.decode("utf-8", "replace"),
        )


@router.post("/{id:uuid}/replay", status_code=status.HTTP_202_ACCEPTED, dependencies=REPLAY, responses=told(404))
async def replay_dead_letter(id: UUID, tenant: InTheNameOf, shared: Shared) -> models.Settled:  # noqa: A002
    """Give a dead letter back to its consumer, from the first attempt."""
    return await _settle(tenant, shared, Choice(ids=[id]), discard=False, must=True)


@router.delete("/{id:uuid}", status_code=status.HTTP_204_NO_CONTENT, dependencies=REPLAY, responses=told(404))
async def discard_dead_letter(id: UUID, tenant: InTheNameOf, shared: Shared) -> None:  # noqa: A002
    """Discard a dead letter for good. The delivery log keeps the event for as long as it keeps any."""
    await _settle(tenant, shared, Choice(ids=[id]), discard=True, must=True)


@router.post("/replay", status_code=status.HTTP_202_ACCEPTED, dependencies=REPLAY, responses=told())
async def replay_dead_letters(chosen: models.Chosen, tenant: InTheNameOf, shared: Shared) -> models.Settled:
    """Give back all that match, a thousand at a time: `left` says how many still match."""
    return await _settle(tenant, shared, _choice(chosen), discard=False)


@router.post("/discard", dependencies=REPLAY, responses=told())
async def discard_dead_letters(chosen: models.Chosen, tenant: InTheNameOf, shared: Shared) -> models.Settled:
    """Discard all that match, a thousand at a time: `left` says how many still match."""
    return await _settle(tenant, shared, _choice(chosen), discard=True)


def _choice(chosen: models.Chosen) -> Choice:
    given = chosen.model_dump(exclude={"all"})
    if not chosen.all and not any(value is not None for value in given.values()):
        raise Problem("invalid-request", "body: say which ones; {\"all\": true} is every one")  # fmt: skip
    return Choice(**given)


async def _settle(
    tenant: Tenant, shared: Shared, wanted: Choice, *, discard: bool, must: bool = False
) -> models.Settled:
    async with _looking(tenant, shared, wanted) as found:
        if must:
            _first(found)
        done: list[str] = []
        try:
            for one in found[:AT_ONCE]:
                await (one.subscription.ack([one.delivery]) if discard else one.subscription.revive(one.delivery))
                done.append(str(one.id))
        finally:  # what was done before the broker went away is done
            if done:
                action = "dead_letters_discard" if discard else "dead_letters_replay"
                await tenant.audit(action, None, "done", events=done[:20], count=len(done))
        return models.Settled(done=len(done), left=len(found) - len(done))


@asynccontextmanager
async def _looking(tenant: Tenant, shared: Shared, wanted: Choice) -> AsyncIterator[Sequence[DeadLetter]]:
    """The chosen ones that the tenant may see. What has no integration is for whoever may see everything."""
    everything = tenant.org_id is None and tenant.project_id is None
    own = {str(row["id"]) for row in await tenant.database.fetch("gallery_reach")} if not everything else set()
    try:
        async with asyncio.timeout(LOOK_SECONDS), _turn, dead_letters(shared.bus, shared.queues, wanted) as found:
            yield [one for one in found if everything or str(one.outline()["integration_id"]) in own]
    except TimeoutError as error:
        raise Problem(
            "unavailable", "the dead-letter queues took too long; try again", headers={"Retry-After": "5"}
        ) from error


def _first(found: Sequence[DeadLetter]) -> DeadLetter:
    if not found:
        raise Problem(
            "not-found", "there is no such dead letter that your credential may see; it may have been settled"
        )
    return found[0]


def _outline(one: DeadLetter) -> dict[str, Any]:
    """What is no event of ours may have anything in its headers."""
    outline = one.outline()
    return outline | {
        "type": _word(outline["type"]),
        "subject": _word(outline["subject"]),
        "integration_id": _uuid(outline["integration_id"]),
        "attempts": outline["attempts"] if isinstance(outline["attempts"], int) else None,
    }


def _word(value: object) -> str | None:
    return str(value) if value is not None else None


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
