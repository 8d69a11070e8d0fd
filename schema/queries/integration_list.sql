-- Newest first, with how far each one is.
SELECT i.*, s.import_status, s.sync_cursor, s.total_synced_tasks, s.last_task_sync_at, s.last_error, s.last_error_at,
    s.consecutive_failures
FROM kb.integrations i LEFT JOIN kb.clickup_sync_state s ON s.integration_id = i.id
WHERE ($1::uuid IS NULL OR i.id = $1)
ORDER BY i.created_at DESC, i.id
