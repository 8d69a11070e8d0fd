-- Keep objects aside; whether each is there for the first time. $2: array of failures.
INSERT INTO kb.job_failures (job_id, type, external_id, reason, raw)
SELECT DISTINCT ON (type, external_id) $1, type, external_id, reason, raw
FROM jsonb_to_recordset($2::jsonb) AS r (type text, external_id text, reason text, raw jsonb)
ON CONFLICT (job_id, type, external_id) DO UPDATE SET reason = EXCLUDED.reason, raw = EXCLUDED.raw, at = now()
RETURNING type, xmax = 0 AS first
