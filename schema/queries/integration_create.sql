-- A new integration with its sync-state row.
WITH created AS (
    INSERT INTO kb.integrations (id, name, display_name, description, enabled, org_id, project_id, settings_encrypted,
        logo_url, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    RETURNING *
), state AS (
    INSERT INTO kb.clickup_sync_state (integration_id) SELECT id FROM created
)
SELECT * FROM created
