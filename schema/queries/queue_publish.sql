-- Put each message ($1 routing keys, $2 headers, $3 bodies) into every queue whose binding matches.
-- Returns how many queues each one reached, by position from 1: a missing position was unroutable.
WITH message AS (
    SELECT * FROM unnest($1::text[], $2::jsonb[], $3::bytea[]) WITH ORDINALITY AS m (routing_key, headers, body, position)
), routed AS (
    SELECT DISTINCT m.position, b.queue
    FROM message m JOIN kb.queue_bindings b ON m.routing_key ~ b.regex
    JOIN kb.queues q ON q.name = b.queue AND (q.expires_at IS NULL OR q.expires_at > now())
), stored AS (
    INSERT INTO kb.queue_messages (queue, headers, body)
    SELECT r.queue, m.headers, m.body FROM routed r JOIN message m USING (position)
    ORDER BY m.position
), told AS (
    SELECT pg_notify('kb_queue', queue) FROM (SELECT DISTINCT queue FROM routed) q
)
SELECT position, count(*) AS queues FROM routed, (SELECT count(*) FROM told) t GROUP BY position
