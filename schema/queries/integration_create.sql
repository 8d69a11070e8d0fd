-- A new integration. Its sync-state row is a statement of its own: row-level security does not see what the same
-- statement inserts.
INSERT INTO kb.integrations (id, name, display_name, description, enabled, org_id, project_id, settings_encrypted,
    logo_url, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING *
