-- How many messages wait in a queue, and how long the oldest has.
SELECT count(*) AS messages, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_seconds
FROM kb.queue_messages WHERE queue = $1
