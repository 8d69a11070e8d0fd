-- The hooks of an integration that have secrets without an end though there is only the hook $2, or none.
SELECT DISTINCT webhook_id FROM kb.webhook_secrets
WHERE integration_id = $1 AND expires_at IS NULL AND webhook_id IS DISTINCT FROM $2
