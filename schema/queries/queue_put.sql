-- Put messages into one queue by name, past the bindings: the spool.
WITH stored AS (
    INSERT INTO kb.queue_messages (queue, headers, body)
    SELECT $1, headers, body FROM unnest($2::jsonb[], $3::bytea[]) WITH ORDINALITY AS m (headers, body, position)
    ORDER BY position
    RETURNING id
)
SELECT pg_notify('kb_queue', $1) FROM (SELECT count(*) FROM stored) s
