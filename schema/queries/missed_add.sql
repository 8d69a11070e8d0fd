-- Changes that a job found and no webhook had brought. $2: array of changes.
INSERT INTO kb.missed_changes (object_id, version, integration_id, external_type, external_id, action, changed_at, job_id)
SELECT id, version, integration_id, external_type, external_id, action, external_updated_at, $1
FROM jsonb_to_recordset($2::jsonb) AS r (
    id uuid, version bigint, integration_id uuid, external_type text, external_id text, action text,
    external_updated_at timestamptz)
ON CONFLICT DO NOTHING
