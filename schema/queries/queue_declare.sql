-- Make a queue, or renew one that expires. $2: seconds to live without renewal, NULL = durable.
INSERT INTO kb.queues AS q (name, expires_at)
VALUES ($1, now() + make_interval(secs => $2::float8))
ON CONFLICT (name) DO UPDATE SET expires_at = EXCLUDED.expires_at
