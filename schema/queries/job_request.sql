-- A new job. Nothing when it is there already or, with $7, when one of its kind waits for its turn.
INSERT INTO kb.jobs (id, integration_id, kind, options, reason, requested_by)
SELECT $1, $2, $3, $4::jsonb, $5, $6
WHERE EXISTS (SELECT FROM kb.integrations WHERE id = $2)
  AND NOT ($7 AND EXISTS (SELECT FROM kb.jobs WHERE integration_id = $2 AND kind = $3 AND status = 'queued'))
ON CONFLICT DO NOTHING
RETURNING *
