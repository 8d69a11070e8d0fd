-- Keep what is still being worked on.
UPDATE kb.queue_messages SET available_at = now() + make_interval(secs => $2::float8)
WHERE id = ANY($3::bigint[]) AND lease = $1
