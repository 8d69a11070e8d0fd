-- Keep the lease $2 of a job for $3 seconds more. No row: it is lost.
UPDATE kb.jobs j SET lease_until = clock_timestamp() + make_interval(secs => $3)
FROM kb.integrations i
WHERE j.id = $1 AND j.lease = $2 AND j.status = 'running' AND i.id = j.integration_id
RETURNING j.cancel_requested, i.enabled
