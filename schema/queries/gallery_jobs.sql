-- Jobs, newest first after ($1, $2); of the integration $3; with the status $4; most $5.
SELECT j.*, (SELECT count(*) FROM kb.job_failures f WHERE f.job_id = j.id) AS failures
FROM kb.jobs j
WHERE ($1::timestamptz IS NULL OR (j.created_at, j.id) < ($1, $2::uuid))
  AND ($3::uuid IS NULL OR j.integration_id = $3)
  AND ($4::text IS NULL OR j.status = $4)
ORDER BY j.created_at DESC, j.id DESC
LIMIT $5
