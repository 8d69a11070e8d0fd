-- A token was good at $2; said at most once a minute.
UPDATE kb.api_tokens SET last_used_at = $2
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $2::timestamptz - interval '1 minute')
