-- Hand back at once what was taken and not worked on.
UPDATE kb.queue_messages SET lease = NULL, available_at = now(), deliveries = greatest(deliveries - 1, 0)
WHERE lease = $1 AND id = ANY($2::bigint[])
