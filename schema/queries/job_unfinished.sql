-- The job of this kind and with these options that an integration has under way, if any: asking again joins it.
SELECT * FROM kb.jobs
WHERE integration_id = $1 AND kind = $2 AND options = $3::jsonb AND status IN ('queued', 'running')
ORDER BY created_at LIMIT 1
