"""What the API takes and gives, as types: the OpenAPI follows from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]
Url = Annotated[str, StringConstraints(max_length=500, pattern=r"^https://[^\s\x00]+$|^/[^\s\x00]*$")]
State = Literal["connected", "disabled", "importing", "failing", "not_configured"]


class Strict(BaseModel):
    """A request: a name nobody knows is a mistake, not to be passed over."""

    model_config = ConfigDict(extra="forbid")


class Setting(BaseModel):
    """A setting that a provider declares."""

    name: str
    kind: str
    label: str
    help: str
    default: Any = None
    choices: str | None = None


class Available(BaseModel):
    """A provider that can be connected."""

    name: str
    displayName: str  # noqa: N815  the earlier system's names
    description: str
    logo_url: str
    capabilities: dict[str, bool]
    requiredSettings: list[Setting]  # noqa: N815
    optionalSettings: list[Setting]  # noqa: N815
    touches: list[str] = Field(description="The data it reads.")


class Sync(BaseModel):
    """How far an integration is: its row of `kb.clickup_sync_state`."""

    import_status: str | None
    last_full_import_at: datetime | None
    last_workspace_sync_at: datetime | None
    last_space_sync_at: datetime | None
    last_folder_sync_at: datetime | None
    last_list_sync_at: datetime | None
    last_task_sync_at: datetime | None
    sync_cursor: str | None
    total_imported_objects: int | None
    total_synced_tasks: int | None
    total_synced_lists: int | None
    total_synced_spaces: int | None
    last_error: str | None
    last_error_at: datetime | None
    consecutive_failures: int | None


class Hook(BaseModel):
    """A webhook as it was last seen at the source."""

    webhook_id: str | None
    status: str
    fail_count: int
    problem: str | None
    endpoint: str | None
    hears: list[str]
    wanted: bool
    checked_at: datetime | None
    healthy_at: datetime | None


class UnderWay(BaseModel):
    """A job that is queued or running."""

    id: UUID
    kind: str
    status: str
    phase: str | None
    done: int
    total: int | None


class Integration(BaseModel):
    """An integration; secrets are masked."""

    id: UUID
    name: str
    display_name: str
    description: str | None
    enabled: bool
    state: State
    org_id: str
    project_id: UUID
    settings: dict[str, Any]
    logo_url: str
    last_sync_at: datetime | None
    sync: Sync
    webhook: Hook | None
    job: UnderWay | None
    created_at: datetime
    updated_at: datetime
    created_by: str | None


class Public(BaseModel):
    """What everybody may know of an integration."""

    name: str
    display_name: str
    description: str | None
    enabled: bool
    logo_url: str
    has_configuration: bool


class NewHook(Strict):
    """A webhook that exists already at the source."""

    id: Line
    secret: Line


class NewIntegration(Strict):
    """An integration to be connected."""

    name: Line = Field(description="The provider, for example clickup.")
    display_name: Line | None = None
    description: Text | None = None
    logo_url: Url | None = None
    enabled: bool = False
    org_id: Line | None = Field(None, description="Or in the query.")
    project_id: UUID | None = Field(None, description="Or in the query.")
    settings: dict[str, Any] = Field(description="See `requiredSettings` and `optionalSettings` of the provider.")
    webhook: NewHook | None = None


class Change(Strict):
    """What to change of an integration; what is left out stays."""

    display_name: Line | None = None
    description: Text | None = None
    logo_url: Url | None = None
    enabled: bool | None = None
    settings: dict[str, Any] | None = Field(
        None, description="A setting that is null is taken back; a masked secret stays as it is."
    )


class Tried(Strict):
    """Settings to be tried before they are saved; left out: the saved ones."""

    settings: dict[str, Any] | None = None


class Choice(BaseModel):
    """One of several to choose from."""

    id: str
    name: str


class Probed(BaseModel):
    """What trying out a connection found."""

    success: bool
    message: str
    choices: dict[str, list[Choice]]


class Container(BaseModel):
    """A part of the source that can be chosen by itself."""

    type: str
    id: str
    name: str
    items: int | None
    archived: bool
    containers: list[Container]


class Structure(BaseModel):
    """The containers of a source."""

    containers: list[Container]


class SyncRequest(Strict):
    """A job over the source; what is left out is as the integration's settings say."""

    kind: Literal["import", "sync", "sweep"] | None = Field(
        None, description="import = everything; sync = what changed; sweep = everything, and what is gone. "
        "Left out: an import if there was none yet, else a sync."
    )  # fmt: skip
    full_sync: bool = Field(False, description="The same as `kind` import.")
    space_ids: list[Line] | None = Field(None, max_length=1000)
    list_ids: list[Line] | None = Field(None, max_length=1000)
    include_archived: bool | None = None
    include_completed: bool | None = None
    include_comments: bool | None = None
    include_docs: bool | None = None
    include_goals: bool | None = None
    since: int | None = Field(None, ge=0, le=253402300799999, description="Instead of the cursor, epoch milliseconds.")


class JobFailure(BaseModel):
    """An object that a job could not take over."""

    type: str
    external_id: str
    reason: str
    at: datetime


class Job(BaseModel):
    """A job over a whole source."""

    id: UUID
    job_id: UUID
    integration_id: UUID
    kind: str
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    options: dict[str, Any]
    reason: str
    requested_by: str | None
    phase: str | None
    done: int = Field(description="Calls made of those planned.")
    total: int | None = Field(description="The plan, refined on the way.")
    progress: float | None = Field(description="From 0 to 1.")
    eta_seconds: float | None
    calls: int
    breakdown: dict[str, dict[str, int]] = Field(description="By type: imported, unchanged, deleted, failed.")
    failures: int
    error: str | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobDetail(Job):
    """A job, and what it could not take over (the first hundred)."""

    failed: list[JobFailure]


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

    rotate: bool = Field(False, description="Exchange it for one with a new secret, without a gap.")
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

    ids: list[UUID] | None = Field(None, min_length=1, max_length=1000)
    consumer: Line | None = None
    integration_id: UUID | None = None
    type: Line | None = Field(None, description="Beginning of the type.")
    reason: Line | None = Field(None, description="A part of the reason.")
    all: bool = Field(False, description="Every one.")


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
