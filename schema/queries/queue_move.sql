-- A retry ($3 = its own queue) or a dead letter ($3 = the dead queue), with $4 merged into its headers.
UPDATE kb.queue_messages
SET queue = $3, headers = headers || $4::jsonb, attempt = $5, deliveries = 0, lease = NULL,
    available_at = now() + make_interval(secs => $6::float8)
WHERE lease = $1 AND id = $2
