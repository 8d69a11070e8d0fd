"""Integrations and jobs, as the API takes and gives them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints
from pydantic.json_schema import SkipJsonSchema

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
    enabled: StrictBool = False
    org_id: Line | None = Field(None, description="Or in the query.")
    project_id: UUID | None = Field(None, description="Or in the query.")
    settings: dict[str, Any] = Field(description="See `requiredSettings` and `optionalSettings` of the provider.")
    webhook: NewHook | None = None


class Change(Strict):
    """What to change of an integration; what is left out stays."""

    display_name: Line | SkipJsonSchema[None] = None
    description: Text | None = None
    logo_url: Url | None = None
    enabled: StrictBool | SkipJsonSchema[None] = None
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
    full_sync: StrictBool = Field(False, description="The same as `kind` import.")
    space_ids: list[Line] | None = Field(None, max_length=1000)
    list_ids: list[Line] | None = Field(None, max_length=1000)
    include_archived: StrictBool | None = None
    include_completed: StrictBool | None = None
    include_comments: StrictBool | None = None
    include_docs: StrictBool | None = None
    include_goals: StrictBool | None = None
    since: StrictInt | None = Field(
        None, ge=0, le=253402300799999, description="Instead of the cursor, epoch milliseconds."
    )


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
