-- The answer to a request with this key.
UPDATE kb.idempotency_keys SET status = $2, headers = $3::jsonb, body = $4 WHERE key = $1
