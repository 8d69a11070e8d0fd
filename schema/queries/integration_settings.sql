-- What the knowledge consumer needs to ask the source.
SELECT id, name, enabled, org_id, project_id, settings_encrypted FROM kb.integrations WHERE id = ANY($1::uuid[])
