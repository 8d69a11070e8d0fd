-- Lease up to $3 messages for $4 seconds. Others skip what is being taken; a lease that ran out is taken again.
-- The queue is named as a beginning and an end, so that the index gives the first of it in order whatever the planner
-- knows; asked for one queue, and without statistics, it would read and sort all that waits.
WITH free AS (
    SELECT id FROM kb.queue_messages
    WHERE queue >= $1 AND (queue, available_at) <= ($1, now())
    ORDER BY queue, available_at, id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE kb.queue_messages m
    SET lease = $2, available_at = now() + make_interval(secs => $4::float8), deliveries = m.deliveries + 1
    WHERE m.id = ANY(ARRAY(SELECT id FROM free))
    RETURNING m.id, m.headers, m.body, m.attempt, m.deliveries
)
SELECT * FROM taken ORDER BY id
