-- Lease up to $3 messages for $4 seconds. Others skip what is being taken; a lease that ran out is taken again.
WITH free AS (
    SELECT id FROM kb.queue_messages
    WHERE queue = $1 AND available_at <= now()
    ORDER BY available_at, id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE kb.queue_messages m
    SET lease = $2, available_at = now() + make_interval(secs => $4::float8), deliveries = m.deliveries + 1
    FROM free WHERE m.id = free.id
    RETURNING m.id, m.headers, m.body, m.attempt, m.deliveries
)
SELECT * FROM taken ORDER BY id
