-- $2: what was found at $3. A record replaces what an earlier look found; that something is gone replaces nothing,
-- because a thing that moved is not listed any more where it was.
INSERT INTO kb_shadow.objects AS s (id, integration_id, external_type, external_id, observed_at, record, because)
SELECT id, $1, external_type, external_id, $3, record, because
FROM jsonb_to_recordset($2::jsonb) AS r (id uuid, external_type text, external_id text, record text, because text)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET observed_at = EXCLUDED.observed_at, record = EXCLUDED.record, because = NULL
WHERE EXCLUDED.record IS NOT NULL
