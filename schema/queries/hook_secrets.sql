-- The secrets of one integration, and which hooks belong to others: who has had a secret of it for longest owns a hook.
WITH owners AS (
    SELECT DISTINCT ON (webhook_id) webhook_id, integration_id
    FROM kb.webhook_secrets
    ORDER BY webhook_id, created_at, integration_id
)
SELECT s.id, s.webhook_id, o.integration_id <> $1 AS foreign,
    CASE WHEN s.integration_id = $1 THEN s.secret_sealed END AS secret_sealed
FROM kb.webhook_secrets s JOIN owners o USING (webhook_id)
WHERE o.integration_id <> $1 OR (s.integration_id = $1 AND (s.expires_at IS NULL OR s.expires_at > now()))
