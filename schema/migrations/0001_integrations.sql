-- Who we talk to and how far we are: the registry of integrations and one sync-state row for each.

CREATE SCHEMA IF NOT EXISTS kb;

-- The program encrypts by itself and never needs pgcrypto; only rows an earlier system wrote with
-- pgp_sym_encrypt do. A server without the extension, or a role that may not create it, is no reason to stop.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgcrypto') THEN
        CREATE EXTENSION IF NOT EXISTS pgcrypto;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'pgcrypto is available but this role may not create it; going on without';
END
$$;

CREATE FUNCTION kb.set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;

CREATE TABLE kb.integrations (
    id                 UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name               VARCHAR NOT NULL,
    display_name       VARCHAR NOT NULL,
    description        TEXT,
    enabled            BOOLEAN NOT NULL DEFAULT false,
    org_id             TEXT NOT NULL,
    project_id         UUID NOT NULL,
    settings_encrypted BYTEA,
    logo_url           TEXT,
    webhook_secret     TEXT,
    created_at         TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at         TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_by         TEXT,
    CONSTRAINT integrations_name_project_key UNIQUE (name, project_id)
);
CREATE INDEX integrations_project_id_idx ON kb.integrations (project_id);
CREATE INDEX integrations_org_id_idx ON kb.integrations (org_id);
CREATE INDEX integrations_enabled_idx ON kb.integrations (enabled);
CREATE INDEX integrations_name_idx ON kb.integrations (name);
CREATE TRIGGER integrations_set_updated_at BEFORE UPDATE ON kb.integrations
    FOR EACH ROW EXECUTE FUNCTION kb.set_updated_at();

COMMENT ON TABLE kb.integrations IS 'One connected provider of one project.';
COMMENT ON COLUMN kb.integrations.id IS 'Identity; part of the webhook address and of every routing key.';
COMMENT ON COLUMN kb.integrations.name IS 'Provider, for example clickup.';
COMMENT ON COLUMN kb.integrations.display_name IS 'Name shown to people.';
COMMENT ON COLUMN kb.integrations.description IS 'What this connection is for.';
COMMENT ON COLUMN kb.integrations.enabled IS 'Whether webhooks are applied; a disabled one keeps its data.';
COMMENT ON COLUMN kb.integrations.org_id IS 'Organisation that owns it.';
COMMENT ON COLUMN kb.integrations.project_id IS 'Project whose knowledge base it fills.';
COMMENT ON COLUMN kb.integrations.settings_encrypted IS 'Sealed JSON: tokens, keys, configuration (AES-256-GCM, bound to this row).';
COMMENT ON COLUMN kb.integrations.logo_url IS 'Logo for the gallery.';
COMMENT ON COLUMN kb.integrations.webhook_secret IS 'Unused by this system: secrets rest sealed in kb.webhook_secrets.';
COMMENT ON COLUMN kb.integrations.created_at IS 'When it was connected.';
COMMENT ON COLUMN kb.integrations.updated_at IS 'When the row last changed (trigger).';
COMMENT ON COLUMN kb.integrations.created_by IS 'Who connected it.';

CREATE TABLE kb.webhook_secrets (
    id             UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    integration_id UUID NOT NULL REFERENCES kb.integrations ON DELETE CASCADE,
    webhook_id     TEXT NOT NULL,
    secret_sealed  BYTEA NOT NULL,
    expires_at     TIMESTAMPTZ,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX webhook_secrets_integration_idx ON kb.webhook_secrets (integration_id);
CREATE INDEX webhook_secrets_webhook_idx ON kb.webhook_secrets (webhook_id);
COMMENT ON TABLE kb.webhook_secrets IS 'Signing secrets; several may be valid at once (several hooks, rotation overlap).';
COMMENT ON COLUMN kb.webhook_secrets.webhook_id IS 'The provider''s id of the hook the secret belongs to.';
COMMENT ON COLUMN kb.webhook_secrets.secret_sealed IS 'AES-256-GCM, bound to this row.';
COMMENT ON COLUMN kb.webhook_secrets.expires_at IS 'End of a rotation overlap; NULL = valid until removed.';

-- Ingest keeps the secrets in memory and refreshes when told.
CREATE FUNCTION kb.notify_integrations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('kb_integrations', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER integrations_notify AFTER INSERT OR UPDATE OR DELETE ON kb.integrations
    FOR EACH STATEMENT EXECUTE FUNCTION kb.notify_integrations();
CREATE TRIGGER webhook_secrets_notify AFTER INSERT OR UPDATE OR DELETE ON kb.webhook_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION kb.notify_integrations();

CREATE TABLE kb.clickup_sync_state (
    id                     UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    integration_id         UUID NOT NULL REFERENCES kb.integrations (id) ON DELETE CASCADE,
    last_full_import_at    TIMESTAMPTZ,
    last_workspace_sync_at TIMESTAMPTZ,
    last_space_sync_at     TIMESTAMPTZ,
    last_folder_sync_at    TIMESTAMPTZ,
    last_list_sync_at      TIMESTAMPTZ,
    last_task_sync_at      TIMESTAMPTZ,
    sync_cursor            TEXT,
    workspace_cursor       JSONB,
    active_import_job_id   UUID,
    import_status          VARCHAR NOT NULL DEFAULT 'idle',
    total_imported_objects INT NOT NULL DEFAULT 0,
    total_synced_tasks     INT NOT NULL DEFAULT 0,
    total_synced_lists     INT NOT NULL DEFAULT 0,
    total_synced_spaces    INT NOT NULL DEFAULT 0,
    last_error             TEXT,
    last_error_at          TIMESTAMPTZ,
    consecutive_failures   INT NOT NULL DEFAULT 0,
    created_at             TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at             TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT clickup_sync_state_import_status_check
        CHECK (import_status IN ('idle', 'running', 'completed', 'failed'))
);
-- Unique, because there is one row an integration; it is the index on integration_id as well.
CREATE UNIQUE INDEX clickup_sync_state_integration_id_idx ON kb.clickup_sync_state (integration_id);
CREATE INDEX clickup_sync_state_import_status_idx ON kb.clickup_sync_state (import_status);
CREATE TRIGGER clickup_sync_state_set_updated_at BEFORE UPDATE ON kb.clickup_sync_state
    FOR EACH ROW EXECUTE FUNCTION kb.set_updated_at();

COMMENT ON TABLE kb.clickup_sync_state IS 'How far the knowledge base follows ClickUp: one row an integration, derived from applied changes.';
COMMENT ON COLUMN kb.clickup_sync_state.id IS 'Identity.';
COMMENT ON COLUMN kb.clickup_sync_state.integration_id IS 'Whose state this is.';
COMMENT ON COLUMN kb.clickup_sync_state.last_full_import_at IS 'When a full import last completed.';
COMMENT ON COLUMN kb.clickup_sync_state.last_workspace_sync_at IS 'When a change of the workspace was last applied.';
COMMENT ON COLUMN kb.clickup_sync_state.last_space_sync_at IS 'When a change of a space was last applied.';
COMMENT ON COLUMN kb.clickup_sync_state.last_folder_sync_at IS 'When a change of a folder was last applied.';
COMMENT ON COLUMN kb.clickup_sync_state.last_list_sync_at IS 'When a change of a list was last applied.';
COMMENT ON COLUMN kb.clickup_sync_state.last_task_sync_at IS 'When a change of a task was last applied.';
COMMENT ON COLUMN kb.clickup_sync_state.sync_cursor IS 'High-water mark, epoch milliseconds of ClickUp''s clock.';
COMMENT ON COLUMN kb.clickup_sync_state.workspace_cursor IS 'High-water mark by workspace, and import resume points.';
COMMENT ON COLUMN kb.clickup_sync_state.active_import_job_id IS 'The running import job.';
COMMENT ON COLUMN kb.clickup_sync_state.import_status IS 'idle, running, completed or failed.';
COMMENT ON COLUMN kb.clickup_sync_state.total_imported_objects IS 'Objects written by full imports.';
COMMENT ON COLUMN kb.clickup_sync_state.total_synced_tasks IS 'Applied changes of tasks, each counted once.';
COMMENT ON COLUMN kb.clickup_sync_state.total_synced_lists IS 'Applied changes of lists, each counted once.';
COMMENT ON COLUMN kb.clickup_sync_state.total_synced_spaces IS 'Applied changes of spaces, each counted once.';
COMMENT ON COLUMN kb.clickup_sync_state.last_error IS 'The last failure, in words with its mend; kept after recovery.';
COMMENT ON COLUMN kb.clickup_sync_state.last_error_at IS 'When it happened.';
COMMENT ON COLUMN kb.clickup_sync_state.consecutive_failures IS 'Failures since the last success.';
COMMENT ON COLUMN kb.clickup_sync_state.created_at IS 'When the row was made.';
COMMENT ON COLUMN kb.clickup_sync_state.updated_at IS 'When the row last changed (trigger).';
