-- Why a job waits ($3), under its lease $2; the next page that it brings clears it. No row: the lease is lost.
UPDATE kb.jobs SET error = $3, updated_at = clock_timestamp()
WHERE id = $1 AND lease = $2 AND status = 'running'
RETURNING *
