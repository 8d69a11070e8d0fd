"""Webhooks, events, dead letters and knowledge, as the API takes and gives them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from gallery.models.integrations import Hook, Line, Strict


class HookSeen(BaseModel):
    """A state of a webhook that was seen at that time."""

    at: datetime
    webhook_id: str | None
    status: str
    fail_count: int
    problem: str | None


class HookHealth(BaseModel):
    """A webhook and how it has been; the gap is what no delivery had brought."""

    webhook: Hook | None
    deliver_to: str | None = Field(description="Where the source should deliver to; null = PUBLIC_URL is not set.")
    history: list[HookSeen]
    missed_today: int
    missed: int


class HookWish(Strict):
    """What to do about a webhook, beyond putting it in order."""

    rotate: StrictBool = Field(False, description="Exchange it for one with a new secret, without a gap.")
    events: Literal["all", "minimal"] | None = Field(None, description="What it hears; left out: as before.")


class HookTended(HookHealth):
    """What came of it."""

    did: list[str]
    problem: str | None


class Event(BaseModel):
    """One delivery, and what became of it."""

    id: UUID
    received_at: datetime
    journaled_at: datetime
    applied_at: datetime | None
    integration_id: UUID
    type: str
    subject: str | None
    traceparent: str | None
    size: int
    outcome: Literal["applied", "failed", "waiting"]
    reason: str | None
    tries: int | None


class Delivery(Event):
    """One time an event was delivered, as received."""

    headers: dict[str, Any]
    published_at: datetime | None
    payload: str = Field(description="What was delivered; what is no UTF-8 is replaced.")


class RowChanged(BaseModel):
    """A row whose last change an event caused."""

    id: UUID
    external_type: str
    external_id: str
    title: str | None
    version: int
    action: str
    stated_at: datetime | None = Field(description="In the row as the delivery stated it, if that was before the read.")
    synced_at: datetime


class EventStory(BaseModel):
    """An event from its receipt to the rows it changed."""

    id: UUID
    type: str
    subject: str | None
    integration_id: UUID
    outcome: str
    deliveries: list[Delivery]
    changed: list[RowChanged]


class Ids(Strict):
    """Which ones."""

    ids: list[UUID] = Field(min_length=1, max_length=500)


class Replayed(BaseModel):
    """How many events were published again."""

    replayed: int


class DeadLetter(BaseModel):
    """What a consumer could not handle."""

    id: UUID
    consumer: str
    type: str | None
    subject: str | None
    integration_id: UUID | None
    received_at: datetime | None
    died_at: datetime | None
    attempts: int | None
    reason: str
    size: int


class DeadLetterDetail(DeadLetter):
    """A dead letter with what was delivered."""

    headers: dict[str, Any]
    payload: str


class Reason(BaseModel):
    """Dead letters with the same reason."""

    reason: str
    consumer: str
    count: int


class DeadLetters(BaseModel):
    """Dead letters, newest first, and grouped by reason."""

    items: list[DeadLetter]
    reasons: list[Reason]
    count: int


class Chosen(Strict):
    """Which dead letters: those that match everything that is given. At least one must be given."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["all"], "properties": {"all": {"const": True}}},
                {"required": ["ids"], "properties": {"ids": {"type": "array"}}},
                {"required": ["consumer"], "properties": {"consumer": {"type": "string"}}},
                {"required": ["integration_id"], "properties": {"integration_id": {"type": "string"}}},
                {"required": ["type"], "properties": {"type": {"type": "string"}}},
                {"required": ["reason"], "properties": {"reason": {"type": "string"}}},
            ]
        }
    )

    ids: list[UUID] | None = Field(None, min_length=1, max_length=1000)
    consumer: Line | None = None
    integration_id: UUID | None = None
    type: Line | None = Field(None, description="Beginning of the type.")
    reason: Line | None = Field(None, description="A part of the reason.")
    all: StrictBool = Field(False, description="Every one.")


class Settled(BaseModel):
    """How many dead letters were given back or discarded, and how many still match."""

    done: int
    left: int


class Found(BaseModel):
    """A match in the knowledge base."""

    id: UUID
    integration_id: UUID
    type: str
    external_type: str
    external_id: str
    external_url: str | None
    title: str | None
    excerpt: str = Field(description="Around the matches, each between the characters U+0002 and U+0003.")
    status: str | None
    labels: list[str]
    external_updated_at: datetime | None
    synced_at: datetime
    provisional: bool = Field(description="Something in it was stated by a delivery and not read yet.")
    rank: float


class Matches(BaseModel):
    """The best matches."""

    items: list[Found]


class Stored(BaseModel):
    """An object of the knowledge base."""

    id: UUID
    integration_id: UUID
    type: str
    external_source: str
    external_type: str
    external_id: str
    external_url: str | None
    external_parent_type: str | None
    external_parent_id: str | None
    external_updated_at: datetime | None
    title: str | None
    body: str | None
    status: str | None
    labels: list[str]
    properties: dict[str, Any]
    version: int
    action: str
    provisional: dict[str, Any] | None
    received_at: datetime | None
    synced_at: datetime
    deleted_at: datetime | None
    deleted_because: str | None
    created_at: datetime
    updated_at: datetime


class Why(BaseModel):
    """Where a row came from."""

    object: dict[str, Any]
    event: dict[str, Any] | None = Field(description="The delivery that wrote it.")
    job: dict[str, Any] | None = Field(description="The import, sync or sweep that wrote it.")
    heard: list[dict[str, Any]] = Field(description="The latest deliveries about it.")


class Provenances(BaseModel):
    """The chains of all objects that were asked for."""

    items: list[Why]


class Stats(BaseModel):
    """Counts over what the credential may see; some seconds old at most."""

    integrations: int
    enabled: int
    failing: int
    jobs_under_way: int
    missed_today: int
    failed_events: int
    synced_tasks: int
    imported_objects: int
    events_last_hour: int
    objects: dict[str, dict[str, int]] = Field(description="By external type: living, deleted.")


class Minute(BaseModel):
    """A minute: how many changes, and the seconds from receipt to row."""

    minute: datetime
    changes: int
    p50: float | None
    p99: float | None


class Activity(BaseModel):
    """The last hour by minute."""

    items: list[Minute]


class Audited(BaseModel):
    """A line of the audit log."""

    id: int
    at: datetime
    actor: str
    action: str
    integration_id: UUID | None
    outcome: str
    origin: str | None
    details: dict[str, Any]


class Me(BaseModel):
    """Who you are and what you may do."""

    subject: str
    name: str
    scopes: list[str]
    org_id: str | None
    project_id: UUID | None
    expires_at: datetime | None
