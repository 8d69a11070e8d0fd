-- The API token with this hash, whatever became of it.
SELECT id, name, scopes, org_id, project_id, expires_at, revoked_at, last_used_at FROM kb.api_tokens WHERE hash = $1
