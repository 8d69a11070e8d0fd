"""ClickUp as a provider: the pure reading of deliveries and the look at the API, joined."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from integrations.access import Access
from integrations.clickup import hook_doctor, offering, reader, saying, webhook
from integrations.clickup.client import ClickUp
from integrations.clickup.errors import ClickUpError, Gone, Rejected, TokenRefused
from integrations.clickup.mapping import MalformedObject
from integrations.clickup.walk import Walk
from integrations.clickup.webhook import Unreadable
from integrations.errands import Errand, Page
from integrations.registry import Container, Delivered, Description, Impossible, NotNow, Probe, Provider
from schema.records import Cause, Look, Ref

QUICK_ATTEMPTS: Final = 2
"""Tries of a read that a delivery waits for: the queue's ladder tries again better than a held batch."""


def describe(body: bytes) -> Description:
    """What a delivery is. Bytes are kept whatever they are; what we do not understand is `unrecognized`."""
    try:
        notice = webhook.read(body)
    except Unreadable:
        return Description(type=webhook.UNRECOGNIZED, subject=None, distinct=True)
    return Description(type=notice.type, subject=notice.subject, distinct=bool(notice.history))


async def look(deliveries: Sequence[Delivered], access: Access) -> tuple[Look, Mapping[UUID, Exception]]:
    """See `Provider.look`."""
    failed: dict[UUID, Exception] = {}
    heard: list[reader.Heard] = []
    for delivered in deliveries:
        try:
            notice = webhook.read(delivered.body)
        except Unreadable as error:
            failed[delivered.event_id] = Impossible(f"unrecognized delivery: {error}")
        else:
            cause = Cause(event_id=delivered.event_id, received_at=delivered.received_at)
            heard.append(reader.Heard(notice=notice, cause=cause))
    client = _client(access, attempts=QUICK_ATTEMPTS)
    found, unread = await reader.look(
        heard,
        client=client,
        workspace_id=_workspace(access),
        unknown=access.unknown,
        now=access.now,
    )
    return found, failed | {event_id: _ours(error) for event_id, error in unread.items()}


async def walk(errand: Errand, access: Access) -> AsyncIterator[Page]:
    """See `Provider.walk`."""
    way = Walk(errand, _client(access), access, _workspace(access))
    try:
        async for page in way.pages():
            yield page
    except (Gone, TokenRefused) as error:
        raise Impossible(f"{type(error).__name__}: {error}") from error
    except ClickUpError as error:
        raise _ours(error) from error


async def confirm(refs: Collection[Ref], access: Access) -> Look:
    """See `Provider.confirm`."""
    try:
        return await reader.confirm(refs, client=_client(access), workspace_id=_workspace(access), now=access.now)
    except TokenRefused as error:
        raise Impossible(f"{type(error).__name__}: {error}") from error
    except ClickUpError as error:
        raise _ours(error) from error


async def probe(access: Access) -> Probe:
    """See `Provider.probe`."""
    return await offering.probe(_client(access, attempts=QUICK_ATTEMPTS), _workspace(access))


async def structure(access: Access) -> Sequence[Container]:
    """See `Provider.structure`."""
    try:
        return await offering.structure(_client(access, attempts=QUICK_ATTEMPTS), _workspace(access))
    except (Gone, TokenRefused) as error:
        raise Impossible(f"{type(error).__name__}: {error}") from error
    except ClickUpError as error:
        raise _ours(error) from error


def _workspace(access: Access) -> str:
    return str(access.settings.get("workspace_id") or "")


def _client(access: Access, *, attempts: int = 5) -> ClickUp:
    token = str(access.settings.get("token") or "")
    return ClickUp(access.http, url=access.url, token=token, turns=access.turns, attempts=attempts)


def _ours(error: Exception) -> Exception:
    """The source's errors in the registry's words. A delivery waits for a better token, a job does not."""
    kind = Impossible if isinstance(error, Rejected | MalformedObject) else NotNow
    return kind(f"{type(error).__name__}: {error}")


PROVIDER: Final = Provider(
    name="clickup",
    display_name="ClickUp",
    description="Tasks, comments, Docs, lists, folders, spaces and goals of a ClickUp workspace.",
    signature_header=webhook.SIGNATURE_HEADER,
    genuine=webhook.genuine,
    webhook_ids=webhook.webhook_ids,
    describe=describe,
    preview=saying.preview,
    look=look,
    walk=walk,
    confirm=confirm,
    tend=hook_doctor.tend,
    probe=probe,
    structure=structure,
    settings=offering.SETTINGS,
    capabilities=offering.CAPABILITIES,
    touches=offering.TOUCHES,
    logo=(Path(__file__).parent / "logo.svg").read_text(),
)
