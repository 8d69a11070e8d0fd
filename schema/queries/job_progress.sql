-- What a page brought, under the lease $2. No row: the lease is lost.
UPDATE kb.jobs SET phase = $3, done = $4, total = $5, calls = $4, breakdown = $6::jsonb, error = NULL,
    updated_at = clock_timestamp()
WHERE id = $1 AND lease = $2 AND status = 'running'
RETURNING *
