-- Every integration with a secret, or this one ($1), has a hook to be looked after.
INSERT INTO kb.webhooks (integration_id)
SELECT DISTINCT integration_id FROM kb.webhook_secrets WHERE $1::uuid IS NULL
UNION SELECT id FROM kb.integrations WHERE id = $1
ON CONFLICT DO NOTHING
