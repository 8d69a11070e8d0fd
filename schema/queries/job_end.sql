-- End a job under its lease $2: $3 completed, failed or cancelled, $4 the error. No row: the lease is lost.
UPDATE kb.jobs SET status = $3, error = $4, lease = NULL, lease_until = NULL, finished_at = clock_timestamp(),
    updated_at = clock_timestamp()
WHERE id = $1 AND lease = $2 AND status = 'running'
RETURNING *
