-- All API tokens, newest first, without their hashes.
SELECT id, name, scopes, org_id, project_id, created_at, created_by, expires_at, revoked_at, last_used_at
FROM kb.api_tokens
ORDER BY created_at DESC, id
