-- Everything ingest must know to tell a genuine request, read whole into memory.
SELECT i.id, i.name, i.enabled, s.id AS secret_id, s.webhook_id, s.secret_sealed, s.expires_at
FROM kb.integrations i LEFT JOIN kb.webhook_secrets s ON s.integration_id = i.id
ORDER BY i.id, s.created_at
