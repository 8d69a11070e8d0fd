-- A job that waits is over at once, one that runs is told to end. No row: it was over.
UPDATE kb.jobs SET
    cancel_requested = true,
    status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END,
    error = CASE WHEN status = 'queued' THEN 'cancelled' ELSE error END,
    finished_at = CASE WHEN status = 'queued' THEN clock_timestamp() END,
    updated_at = clock_timestamp()
WHERE id = $1 AND status IN ('queued', 'running')
RETURNING *
