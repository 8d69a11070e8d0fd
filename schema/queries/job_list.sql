-- The latest jobs, of one integration or of all.
SELECT j.*, (SELECT count(*) FROM kb.job_failures f WHERE f.job_id = j.id) AS failures
FROM kb.jobs j
WHERE ($1::uuid IS NULL OR j.integration_id = $1)
ORDER BY j.created_at DESC, j.id
LIMIT $2
