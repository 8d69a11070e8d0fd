-- The state of one integration.
SELECT * FROM kb.clickup_sync_state WHERE integration_id = $1
