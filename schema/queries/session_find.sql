-- A session, with the API token it began with as it is now.
SELECT s.token_id, s.principal, s.seen_at, s.expires_at AS session_expires_at,
    t.id, t.name, t.scopes, t.org_id, t.project_id, t.expires_at, t.revoked_at
FROM kb.sessions s LEFT JOIN kb.api_tokens t ON t.id = s.token_id
WHERE s.hash = $1
