-- Mark as deleted what a source reported or proved to be gone. $1: array of tombstones.
-- One that was never seen gets a row too, so that an older look still in flight cannot bring it to life.
-- A report also hardens a softer tombstone ('gone', 'cascade') into 'deleted', which is no news to anybody.
INSERT INTO kb.objects AS o (
    id, org_id, project_id, integration_id, type, external_source, external_type, external_id,
    action, observed_at, caused_by, received_at, synced_at, deleted_at, deleted_because)
SELECT
    id, org_id, project_id, integration_id, type, external_source, external_type, external_id,
    'deleted', observed_at, caused_by, received_at, statement_timestamp(), deleted_at, because
FROM jsonb_to_recordset($1::jsonb) AS r (
    id uuid, org_id text, project_id uuid, integration_id uuid, type text, external_source text,
    external_type text, external_id text, observed_at timestamptz, caused_by uuid, received_at timestamptz,
    deleted_at timestamptz, because text)
ORDER BY id
ON CONFLICT (integration_id, external_type, external_id) DO UPDATE SET
    deleted_at      = least(o.deleted_at, EXCLUDED.deleted_at),
    deleted_because = EXCLUDED.deleted_because,
    observed_at     = greatest(o.observed_at, EXCLUDED.observed_at),
    action          = 'deleted',
    version         = o.version + (o.deleted_at IS NULL)::int,
    caused_by       = CASE WHEN o.deleted_at IS NULL THEN EXCLUDED.caused_by ELSE o.caused_by END,
    received_at     = CASE WHEN o.deleted_at IS NULL THEN EXCLUDED.received_at ELSE o.received_at END,
    synced_at       = CASE WHEN o.deleted_at IS NULL THEN statement_timestamp() ELSE o.synced_at END,
    updated_at      = CASE WHEN o.deleted_at IS NULL THEN statement_timestamp() ELSE o.updated_at END
WHERE CASE EXCLUDED.deleted_because
    WHEN 'deleted' THEN o.deleted_because IS DISTINCT FROM 'deleted'
        -- a version younger than the report is a re-creation; a minute for clocks that differ
        AND (o.external_updated_at IS NULL OR o.external_updated_at <= EXCLUDED.deleted_at + interval '1 minute')
        -- so is what a listing showed well after it, for kinds without a version: an old report is heard again
        AND (o.deleted_at IS NOT NULL OR o.listed_at IS NULL
             OR o.listed_at <= EXCLUDED.deleted_at + interval '30 seconds')
    ELSE o.deleted_at IS NULL AND EXCLUDED.observed_at >= o.observed_at END
RETURNING id, org_id, project_id, integration_id, type, external_source, external_type, external_id, external_url,
    external_updated_at, title, status, version, action, deleted_at, caused_by, received_at, synced_at,
    synced_at = statement_timestamp() AS news
