-- Take a job that waits, or one whose worker died; $1 is the new lease, $2 its seconds, $3 one job or any.
-- The oldest first; none of an integration that has a job running already.
UPDATE kb.jobs j SET
    status = 'running', lease = $1, lease_until = clock_timestamp() + make_interval(secs => $2), starts = j.starts + 1,
    started_at = coalesce(j.started_at, clock_timestamp()), updated_at = clock_timestamp()
WHERE j.id = (
    SELECT c.id
    FROM kb.jobs c
    WHERE ($3::uuid IS NULL OR c.id = $3)
      AND ((c.status = 'running' AND c.lease_until < clock_timestamp())
           OR (c.status = 'queued' AND NOT EXISTS (
               SELECT FROM kb.jobs r WHERE r.integration_id = c.integration_id AND r.status = 'running')))
    ORDER BY c.status = 'queued', c.created_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING j.*
