-- Secrets of these hooks ($2) are valid for $3 more.
UPDATE kb.webhook_secrets SET expires_at = least(expires_at, now() + $3::interval)
WHERE integration_id = $1 AND webhook_id = ANY($2::text[]) AND (expires_at IS NULL OR expires_at > now() + $3::interval)
