-- How the webhook of the integration $1 was, newest first, and the gap: changes that no delivery had brought.
SELECT at, webhook_id, status, fail_count, problem FROM kb.webhook_health WHERE integration_id = $1 ORDER BY at DESC LIMIT 50
