"""Integrations as the gallery shows and changes them: opened, masked, checked, sealed, with who changed them."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID, uuid4

import orjson

from gallery import models
from gallery.problems import Problem
from gallery.resources import Resources, Tenant
from integrations.registry import CAPABILITIES, Provider, masked, providers
from integrations.sealed_rows import open_settings, secret_row, settings_row
from integrations.sealing import SealError
from integrations.settings import MASK, Invalid, Setting, checked
from schema import integrations
from schema.postgres import Row

FAILING: Final = 1
"""Failures in a row from which an integration is shown as failing."""


def provider(name: str) -> Provider:
    """A provider by name. Raises `Problem`."""
    if (found := providers().get(name)) is None:
        raise Problem("not-found", f"no provider is called so; there are {', '.join(providers())}")
    return found


def available(one: Provider) -> models.Available:
    """A provider as the gallery offers it."""
    return models.Available(
        name=one.name,
        displayName=one.display_name,
        description=one.description,
        logo_url=logo_url(one.name),
        capabilities={name: name in one.capabilities for name in CAPABILITIES},
        requiredSettings=[_setting(setting) for setting in one.settings if setting.required],
        optionalSettings=[_setting(setting) for setting in one.settings if not setting.required],
        touches=list(one.touches),
    )


def _setting(setting: Setting) -> models.Setting:
    return models.Setting(
        name=setting.name,
        kind=setting.kind,
        label=setting.label,
        help=setting.help,
        default=setting.default,
        choices=setting.choices,
    )


def logo_url(name: str) -> str:
    """Where a provider's own logo is."""
    return f"/logos/{name}.svg"


async def find(tenant: Tenant, name: str) -> Row:
    """An integration by its provider's name, or by its id. Raises `Problem`."""
    rows = await tenant.database.fetch("gallery_integrations", None, None, name, None, 2)
    if not rows:
        raise Problem("not-found", "there is no such integration that your credential may see; see GET integrations")
    if len(rows) > 1:
        raise Problem(
            "ambiguous", "several projects have it; add project_id to the query, or take the integration's id"
        )
    return rows[0]


def shown(row: Row, resources: Resources) -> models.Integration:
    """An integration as it may leave."""
    try:
        settings = opened(row, resources)
        fault = None
    except SealError as error:
        settings, fault = {}, str(error)
    known = providers().get(row["name"])
    hook = None
    if row["webhook_status"] is not None:
        hook = models.Hook(
            webhook_id=row["webhook_id"],
            status=row["webhook_status"],
            fail_count=row["webhook_fail_count"],
            problem=row["webhook_problem"],
            endpoint=row["webhook_endpoint"],
            hears=row["webhook_hears"],
            wanted=row["webhook_wanted"],
            checked_at=row["webhook_checked_at"],
            healthy_at=row["webhook_healthy_at"],
        )
    job = None
    if row["job_id"] is not None:
        job = models.UnderWay(
            id=row["job_id"],
            kind=row["job_kind"],
            status=row["job_status"],
            phase=row["job_phase"],
            done=row["job_done"],
            total=row["job_total"],
        )
    sync = models.Sync(**{name: row[name] for name in models.Sync.model_fields})
    if fault is not None:
        sync = sync.model_copy(update={"last_error": fault})
    moments = [row[f"last_{one}_sync_at"] for one in ("workspace", "space", "folder", "list", "task")]
    return models.Integration(
        **{name: row[name] for name in (
            "id", "name", "display_name", "description", "enabled", "org_id", "project_id", "created_at", "updated_at",
            "created_by",
        )},
        state=_state(row, fault, job, complete=known is not None and _complete(known, settings)),
        settings=masked(known, settings) if known else dict.fromkeys(settings, MASK),
        logo_url=row["logo_url"] or logo_url(row["name"]),
        last_sync_at=max((one for one in [*moments, row["last_full_import_at"]] if one), default=None),
        sync=sync,
        webhook=hook,
        job=job,
    )  # fmt: skip


def _complete(one: Provider, settings: dict[str, Any]) -> bool:
    return all(settings.get(setting.name) for setting in one.settings if setting.required)


def _state(row: Row, fault: str | None, job: models.UnderWay | None, *, complete: bool) -> models.State:
    if fault is None and not complete:
        return "not_configured"
    if not row["enabled"]:
        return "disabled"
    if (
        fault
        or (row["consecutive_failures"] or 0) >= FAILING
        or row["webhook_problem"]
        or row["webhook_status"] == "suspended"
    ):
        return "failing"
    return "importing" if job is not None and job.kind == "import" and job.status == "running" else "connected"


def opened(row: Row, resources: Resources) -> dict[str, Any]:
    """An integration's settings. Raises `SealError`."""
    sealed = row["settings_encrypted"]
    return open_settings(resources.keyring, row["id"], sealed) if sealed else {}


def etag(row: Row) -> str:
    """Names this state of an integration's configuration."""
    return f'"{int(row["updated_at"].timestamp() * 1_000_000):x}"'


async def create(tenant: Tenant, resources: Resources, new: models.NewIntegration) -> UUID:
    """Connect an integration; its id. Raises `Problem` or `Invalid`."""
    one = provider_of(new.name)
    org, project = _owner(tenant, new)
    settings = checked(one.settings, new.settings)
    id_, secret_id = uuid4(), uuid4()
    secrets = []
    if new.webhook is not None:
        sealed = resources.keyring.seal(new.webhook.secret.encode(), row=secret_row(secret_id))
        secrets = [integrations.NewSecret(id=secret_id, webhook_id=new.webhook.id, secret_sealed=sealed)]
    row = integrations.NewIntegration(
        id=id_,
        name=one.name,
        display_name=new.display_name or one.display_name,
        description=new.description if new.description is not None else one.description,
        enabled=new.enabled,
        org_id=org,
        project_id=project,
        settings_sealed=resources.keyring.seal(orjson.dumps(settings), row=settings_row(id_)),
        created_by=tenant.principal.subject,
        logo_url=new.logo_url,
    )
    try:
        await integrations.create(tenant.database, row, secrets)
    except integrations.AlreadyConnected as error:
        await tenant.audit("integration_create", None, "refused", org_id=org, project_id=project, name=one.name)
        raise Problem("already-connected", "change that one, or delete it first") from error
    await tenant.audit("integration_create", id_, "done", name=one.name, enabled=new.enabled, settings=sorted(settings))
    return id_


def provider_of(name: str) -> Provider:
    """A provider that a request's body names. Raises `Problem`."""
    if name not in providers():
        raise Problem("invalid-request", f"body.name: no provider is called so; there are {', '.join(providers())}")
    return providers()[name]


def _owner(tenant: Tenant, new: models.NewIntegration) -> tuple[str, UUID]:
    for name, own, given in (
        ("org_id", tenant.org_id, new.org_id),
        ("project_id", tenant.project_id, new.project_id),
    ):
        if own is not None and given is not None and own != given:
            raise Problem("out-of-reach", f"body.{name} is another one than that of the query or of your credential")
        if own is None and given is None:
            raise Problem("invalid-request", f"{name} is missing: give it in the body or in the query")
    org, project = tenant.org_id or new.org_id, tenant.project_id or new.project_id
    assert org is not None  # noqa: S101  looked at above
    assert project is not None  # noqa: S101
    return org, project


async def change(
    tenant: Tenant, resources: Resources, id_: UUID, wish: models.Change, *, if_match: str | None, whole: bool
) -> None:
    """Change an integration, if nobody else did since `if_match`. Raises `Problem` or `Invalid`.

    `whole`: what is given of the settings is all of them, but for masked secrets.
    """
    given = wish.model_fields_set
    async with tenant.database.transaction() as transaction:
        row = await transaction.fetchrow("integration_take", id_)
        if row is None:
            raise Problem("not-found", "it was deleted a moment ago")
        matching(row, if_match)
        sealed, changed = row["settings_encrypted"], sorted(given - {"settings"})
        if wish.settings is not None:
            settings = _merged(row, resources, wish.settings, whole=whole)
            sealed = resources.keyring.seal(orjson.dumps(settings), row=settings_row(id_))
            changed += [f"settings.{name}" for name in sorted(wish.settings)]
        kept = {name: row[name] for name in ("display_name", "description", "logo_url", "enabled")}
        after = kept | {name: getattr(wish, name) for name in kept if name in given}
        if after["display_name"] is None or after["enabled"] is None:
            raise Problem("invalid-request", "body: display_name and enabled cannot be null")
        await transaction.execute(
            "integration_change",
            id_,
            after["display_name"],
            after["description"],
            after["logo_url"],
            after["enabled"],
            sealed,
        )
        line = tenant.line(
            "integration_change", id_, "done", None, None, {"changed": changed, "enabled": after["enabled"]}
        )
        await transaction.execute("audit_add", *line)


def _merged(row: Row, resources: Resources, given: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    try:
        saved = opened(row, resources)
    except SealError:
        saved = {}  # what does not open can only be given anew
    declared = provider(row["name"]).settings
    if whole:
        saved = {one.name: saved[one.name] for one in declared if one.kind == "secret" and one.name in saved}
    return checked(declared, given, saved=saved)


def matching(row: Row, if_match: str | None) -> None:
    """Raises `Problem` if the row is not in the state that `If-Match` names."""
    if (
        if_match is not None
        and if_match.strip() != "*"
        and etag(row) not in [one.strip() for one in if_match.split(",")]
    ):
        raise Problem("changed-meanwhile", "read it again, and make your change to what it is now")


def tried(row: Row | None, resources: Resources, one: Provider, given: dict[str, Any] | None) -> dict[str, Any]:
    """The settings to try: what is given over what is saved. Raises `Problem` or `Invalid`."""
    saved = opened(row, resources) if row is not None else {}
    if given is None:
        if row is None:
            raise Problem("not-found", "there is no such integration yet; give `settings` to try them before saving")
        return saved
    try:
        return checked(one.settings, given, saved=saved)
    except Invalid as error:
        missing = {name: fault for name, fault in error.faults.items() if fault != "is required" or name == "token"}
        if missing:
            raise Invalid(missing) from error
        return {**saved, **{name: value for name, value in given.items() if value is not None}}
