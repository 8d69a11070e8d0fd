-- A job with the number of objects it could not take over.
SELECT j.*, (SELECT count(*) FROM kb.job_failures f WHERE f.job_id = j.id) AS failures
FROM kb.jobs j WHERE j.id = $1
