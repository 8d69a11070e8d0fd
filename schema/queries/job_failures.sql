-- What a job could not take over, oldest first.
SELECT type, external_id, reason, raw, at FROM kb.job_failures WHERE job_id = $1 ORDER BY at, type, external_id LIMIT $2
