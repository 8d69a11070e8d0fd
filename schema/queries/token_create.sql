-- A new API token, known by its hash only.
INSERT INTO kb.api_tokens (id, name, hash, scopes, org_id, project_id, created_at, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
