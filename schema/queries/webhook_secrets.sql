-- Everything ingest must know of these integrations ($1) to tell a genuine request; one row a secret. The marks of an
-- integration's rows, one XOR the other, are its mark in webhook_marks.sql.
SELECT i.id, i.name, i.enabled, s.id AS secret_id, s.webhook_id, s.secret_sealed, s.expires_at,
    hash_record_extended(ROW(i.id, i.name, i.enabled, s.id, s.webhook_id, s.secret_sealed, s.expires_at), 0) AS mark
FROM kb.integrations i LEFT JOIN kb.webhook_secrets s ON s.integration_id = i.id
WHERE i.id = ANY($1::uuid[])
ORDER BY i.id, s.created_at
