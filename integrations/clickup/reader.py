"""From notices to a look: ask ClickUp once for everything a batch of deliveries is about.

Promises: each thing is read once a batch, however many deliveries speak of it; the state is what ClickUp says now,
not what a delivery said then; containers nobody has heard of yet are read along, so that nothing hangs in the air;
a thing is `gone` only after the token was proven; one failing read fails only the deliveries that need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog

from integrations.clickup import docs, goals, mapping
from integrations.clickup.client import ClickUp
from integrations.clickup.errors import ClickUpError, Gone
from integrations.clickup.mapping import MalformedObject
from integrations.clickup.values import number, text
from integrations.clickup.webhook import Notice
from schema.errors import DatabaseUnavailable
from schema.records import Cause, Look, Record, Ref, Tombstone

CONCURRENT_READS: Final = 8
COMMENTS: Final = "comments"
"""The kind of a read, not of an object: the comments of one task."""
MAX_THREADS: Final = 10
"""Threads looked through for a reply: no listing has replies, and no event says in which thread one is."""
MAX_DEPTH: Final = 16
"""Containers above a thing: subtasks, list, folder, subfolder, space, workspace."""

Unknown = Callable[[Collection[Ref]], Awaitable[set[Ref]]]
"""Tells which of these the knowledge base has no row for."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One delivery: what it said, and when."""

    notice: Notice
    cause: Cause


@dataclass(slots=True)
class Found:
    """What a look has so far."""

    records: list[tuple[Record, Cause]] = field(default_factory=list)
    gone: dict[Ref, Cause] = field(default_factory=dict)
    failed: dict[Ref, Exception] = field(default_factory=dict)


async def look(
    heard: Sequence[Heard], *, client: ClickUp, workspace_id: str, unknown: Unknown, now: Callable[[], datetime]
) -> tuple[Look, Mapping[UUID, Exception]]:
    """What ClickUp says now about all that was heard, and the event ids whose reads failed, with the reason."""
    wanted: dict[Ref, list[Heard]] = {}
    for item in heard:
        if (ref := needed(item.notice)) is not None:
            wanted.setdefault(ref, []).append(item)
    found = Found()
    reader = _Reader(client=client, workspace_id=workspace_id, found=found)
    await reader.read({ref: _first(items) for ref, items in wanted.items()}, wanted)
    await reader.read_above(unknown)
    if found.gone:
        try:
            await client.prove_token()
        except ClickUpError as error:
            found.failed |= dict.fromkeys(found.gone, error)
            found.gone.clear()
    failed = {
        item.cause.event_id: found.failed[ref] for ref, items in wanted.items() if ref in found.failed for item in items
    }
    tombstones = _tombstones(heard, found, now())
    return Look(records=_distinct(found.records), tombstones=tombstones), failed


async def confirm(refs: Collection[Ref], *, client: ClickUp, workspace_id: str, now: Callable[[], datetime]) -> Look:
    """Read these by their ids: records of those there are, tombstones of those that are gone, nothing of the others.

    Raises:
        ClickUpError: the token could not be proven, so nothing is known to be gone.
    """
    found, cause = Found(), Cause(event_id=UUID(int=0))
    await _Reader(client=client, workspace_id=workspace_id, found=found).read(dict.fromkeys(refs, cause), {})
    if found.gone:
        await client.prove_token()
    return Look(records=_distinct(found.records), tombstones=_tombstones((), found, now()))


def _first(heard: Sequence[Heard]) -> Cause:
    """The delivery that was received first: the others wait with it, and come in any order."""
    return min((item.cause for item in heard), key=lambda cause: cause.received_at or datetime.max.replace(tzinfo=UTC))


def needed(notice: Notice) -> Ref | None:
    """What to read for a notice; nothing for a deletion, which is complete in itself."""
    if notice.action == "deleted":
        return None
    if notice.entity == "comment":
        return Ref(COMMENTS, notice.task_id or "")
    if notice.entity == "key_result":
        return Ref("goal", notice.goal_id) if notice.goal_id else None
    return Ref(notice.entity, notice.id)


def _tombstones(heard: Iterable[Heard], found: Found, now: datetime) -> list[tuple[Tombstone, Cause]]:
    """One an object; what ClickUp reported counts for more than what we could not read."""
    tombstones: dict[Ref, tuple[Tombstone, Cause]] = {
        ref: (Tombstone(ref=ref, because="gone", deleted_at=now), cause)
        for ref, cause in found.gone.items()
        if ref.type != COMMENTS
    }
    for item in heard:
        if item.notice.action == "deleted":
            ref = Ref(item.notice.entity, item.notice.id)
            deleted = Tombstone(ref=ref, because="deleted", deleted_at=item.cause.received_at or now)
            tombstones[ref] = (deleted, item.cause)
    return list(tombstones.values())


def _distinct(records: Iterable[tuple[Record, Cause]]) -> list[tuple[Record, Cause]]:
    """One record an object: a first-hand one before a second-hand one, else the last."""
    distinct: dict[Ref, tuple[Record, Cause]] = {}
    for record, cause in records:
        if not (record.insert_only and record.ref in distinct):
            distinct[record.ref] = (record, cause)
    return list(distinct.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    client: ClickUp
    workspace_id: str
    found: Found

    async def read(self, refs: Mapping[Ref, Cause], heard: Mapping[Ref, Sequence[Heard]]) -> None:
        """Read all of these, some at a time; what fails is noted and stops nothing."""
        turn = asyncio.Semaphore(CONCURRENT_READS)

        async def one(ref: Ref, cause: Cause) -> None:
            async with turn:
                try:
                    records = await self._read(ref, heard.get(ref, ()))
                except Gone:
                    self.found.gone[ref] = cause
                except (ClickUpError, MalformedObject) as error:
                    self.found.failed[ref] = error
                else:
                    self.found.records.extend((record, cause) for record in records)

        try:
            async with asyncio.TaskGroup() as group:
                for ref, cause in refs.items():
                    group.create_task(one(ref, cause))
        except BaseExceptionGroup as group:
            away, rest = group.split(DatabaseUnavailable)
            if away is None or rest is not None:
                raise
            raise DatabaseUnavailable(str(away.exceptions[0])) from group

    async def read_above(self, unknown: Unknown) -> None:
        """Read the unknown containers above what was found, level by level.

        One that cannot be read now waits for the next event below it: what was asked for is there all the same.
        """
        found, asked = self.found, set[Ref]()
        for _ in range(MAX_DEPTH):
            here = {record.ref for record, _ in found.records} | found.gone.keys() | found.failed.keys() | asked
            above = {parent: cause for record, cause in found.records if (parent := record.parent)}
            wanted = {ref: cause for ref, cause in above.items() if ref not in here}
            asked |= wanted.keys()
            missing = await unknown(wanted.keys()) if wanted else set()
            if not missing:
                return
            await self.read({ref: wanted[ref] for ref in missing}, {})
            for ref in missing & found.gone.keys():
                del found.gone[ref]  # nobody asked for it: not visible is not gone
            for ref in missing & found.failed.keys():
                log.warning("clickup.container_unread", container=f"{ref.type}/{ref.id}", error=str(found.failed[ref]))

    async def _read(self, ref: Ref, heard: Sequence[Heard]) -> list[Record]:
        client, workspace_id = self.client, self.workspace_id
        match ref.type:
            case "task":
                records = [mapping.task(_there(await client.task(ref.id)))]
            case "list":
                records = [mapping.list_(_there(await client.list_(ref.id)), workspace_id=workspace_id)]
            case "folder":
                records = [mapping.folder(_there(await client.folder(ref.id)), workspace_id=workspace_id)]
            case "space":
                records = [mapping.space(_there(await client.space(ref.id)), workspace_id=workspace_id)]
            case "goal":
                records = goals.goal(_there(await client.goal(ref.id)), workspace_id=workspace_id)
            case "key_result":
                raise Gone("a key result is read with its goal, which has it no longer")
            case "doc":
                raw = _there(await client.doc(workspace_id, ref.id))
                records = [docs.doc(raw, await client.doc_pages(workspace_id, ref.id), workspace_id=workspace_id)]
            case "workspace":
                records = [mapping.workspace(raw) for raw in await client.teams() if str(raw.get("id")) == ref.id]
            case _:
                records = await self._comments(ref.id, heard)
        return records

    async def _comments(self, task_id: str, heard: Sequence[Heard]) -> list[Record]:
        """The comments of a task as listed, replies among them where one is wanted, and those only an event tells."""
        told = {
            comment.id: mapping.heard_comment(comment, task_id=task_id, edited=item.notice.action == "updated")
            for item in sorted(heard, key=lambda item: item.notice.action)  # posted before updated: an edit wins
            for comment in item.notice.comments
        }
        try:
            raw = [one for one in await self.client.comments(task_id, wanted=set(told)) if text(one.get("id"))]
        except Gone:
            raw = []
        found = [mapping.comment(comment, task_id=task_id) for comment in raw]
        threads = [str(comment["id"]) for comment in raw if number(comment.get("reply_count"))]
        for thread in threads[:MAX_THREADS]:
            if told.keys() <= {record.ref.id for record in found}:
                break
            replies = [one for one in await self.client.replies(thread) if text(one.get("id"))]
            found += [mapping.comment(reply, task_id=task_id, reply_to=thread) for reply in replies]
        seen = {record.ref.id for record in found}
        return found + [record for id_, record in told.items() if id_ not in seen]


def _there(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object, unless it says that it rests in the trash. Raises `Gone`."""
    if raw.get("deleted") is True:
        raise Gone("it is in the trash")
    return raw
