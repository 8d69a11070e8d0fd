-- Take the key $1 for a request $2, or see what became of it; one that was abandoned ($3 seconds) is free again.
WITH taken AS (
    INSERT INTO kb.idempotency_keys AS k (key, fingerprint) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET fingerprint = EXCLUDED.fingerprint, created_at = clock_timestamp(), status = NULL
    WHERE k.created_at < clock_timestamp() - interval '1 day'
       OR (k.status IS NULL AND k.created_at < clock_timestamp() - make_interval(secs => $3))
    RETURNING true AS mine, fingerprint, status, headers, body
)
SELECT * FROM taken
UNION ALL
SELECT false, fingerprint, status, headers, body FROM kb.idempotency_keys
WHERE key = $1 AND NOT EXISTS (SELECT FROM taken)
