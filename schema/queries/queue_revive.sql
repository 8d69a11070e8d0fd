-- Give a dead letter back to its consumer's queue $3, from the first attempt, without the headers $4.
WITH revived AS (
    UPDATE kb.queue_messages
    SET queue = $3, headers = headers - $4::text[], attempt = 1, deliveries = 0, lease = NULL, available_at = now()
    WHERE lease = $1 AND id = $2
    RETURNING queue
)
SELECT pg_notify('kb_queue', queue) FROM revived
