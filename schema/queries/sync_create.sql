-- The sync-state row of a new integration.
INSERT INTO kb.clickup_sync_state (integration_id) VALUES ($1)
