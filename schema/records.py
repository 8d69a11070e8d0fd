"""What is written to the knowledge base, as values. Pure."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

import orjson

from schema.identifiers import QuickUUID

TYPES: Final[Mapping[str, str]] = {
    "workspace": "organization",
    "space": "project",
    "folder": "collection",
    "list": "collection",
    "task": "task",
    "comment": "comment",
    "doc": "document",
    "goal": "goal",
    "key_result": "key_result",
}
"""`external_type` to `type`, containers before what they hold."""


class Ref(NamedTuple):
    """One thing of the source: its `external_type` (or `person`) and `external_id`."""

    type: str
    id: str

    def object_id(self, integration_id: UUID) -> UUID:
        """The row's id: known before the row exists, so that edges may be written in any order."""
        return _object_id(integration_id, self.type, self.id)


@functools.lru_cache(maxsize=10_000)
def _object_id(integration_id: UUID, type_: str, id_: str) -> UUID:
    return QuickUUID(uuid5(integration_id, f"{type_}/{id_}").bytes)  # asked for several times on a delivery's way


class Edge(NamedTuple):
    """A directed relationship."""

    type: str
    src: Ref
    dst: Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user of the source."""

    id: str
    name: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One object as its source shows it.

    Attributes:
        updated_at: when the source last changed it; None where the source does not say.
        insert_only: a second-hand account, good for a row that is not there yet and for nothing else.
        listed: a listing of its container showed it, which proves that it lives.
    """

    ref: Ref
    parent: Ref | None
    title: str | None = None
    body: str | None = None
    status: str | None = None
    url: str | None = None
    labels: tuple[str, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    updated_at: datetime | None = None
    edges: tuple[Edge, ...] = ()
    people: tuple[Person, ...] = ()
    insert_only: bool = False
    listed: bool = False

    def content(self) -> dict[str, Any]:
        """The columns that the source fills, by name."""
        return {
            "type": TYPES[self.ref.type],
            "external_type": self.ref.type,
            "external_id": self.ref.id,
            "external_url": self.url,
            "external_parent_type": self.parent.type if self.parent else None,
            "external_parent_id": self.parent.id if self.parent else None,
            "external_updated_at": self.updated_at,
            "title": self.title,
            "body": self.body,
            "status": self.status,
            "labels": self.labels,
            "properties": self.properties,
        }

    def content_hash(self) -> str:
        """Hex digest of the content and the edges: equal if and only if nothing changed."""
        edges = sorted([edge.type, *edge.src, *edge.dst] for edge in self.edges)
        canonical = orjson.dumps([self.content(), edges], option=orjson.OPT_SORT_KEYS)
        return hashlib.blake2b(canonical, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """One object that is no more: `deleted` because the source said so, `gone` because it proved unreadable."""

    ref: Ref
    because: str
    deleted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What made us look: an event and when it was received, or a job, which received nothing."""

    event_id: UUID
    received_at: datetime | None = None


class Amendment(NamedTuple):
    """One attribute as a delivery states it: good until the source is read.

    Attributes:
        path: `title`, `body`, `status`, `labels`, `parent`, or `properties.<name>`.
        kind: `is` the value; `has` or `lacks` it, where the attribute is a list.
        changed_at: when the source changed it.
    """

    ref: Ref
    path: str
    kind: str
    value: Any
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at a source found, each with what asked for it."""

    records: Sequence[tuple[Record, Cause]] = ()
    tombstones: Sequence[tuple[Tombstone, Cause]] = ()
