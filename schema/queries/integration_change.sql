-- What people may change of an integration.
UPDATE kb.integrations
SET display_name = $2, description = $3, logo_url = $4, enabled = $5, settings_encrypted = $6
WHERE id = $1
