-- From $2 on the token counts no longer. Revoked again, it keeps its first time.
UPDATE kb.api_tokens SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1
