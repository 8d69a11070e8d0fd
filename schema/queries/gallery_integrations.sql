-- Integrations with how far each is, newest first after ($1, $2); of the provider or with the id $3; $4 enabled; most $5.
SELECT i.*, s.import_status, s.last_full_import_at, s.last_task_sync_at, s.last_list_sync_at, s.last_folder_sync_at,
    s.last_space_sync_at, s.last_workspace_sync_at, s.sync_cursor, s.total_imported_objects, s.total_synced_tasks,
    s.total_synced_lists, s.total_synced_spaces, s.last_error, s.last_error_at, s.consecutive_failures,
    s.active_import_job_id, s.updated_at AS synced_at,
    w.webhook_id, w.status AS webhook_status, w.fail_count AS webhook_fail_count, w.problem AS webhook_problem,
    w.checked_at AS webhook_checked_at, w.healthy_at AS webhook_healthy_at, w.endpoint AS webhook_endpoint,
    w.hears AS webhook_hears, w.wanted AS webhook_wanted,
    j.id AS job_id, j.kind AS job_kind, j.status AS job_status, j.phase AS job_phase, j.done AS job_done, j.total AS job_total
FROM kb.integrations i
LEFT JOIN kb.clickup_sync_state s ON s.integration_id = i.id
LEFT JOIN kb.webhooks w ON w.integration_id = i.id
LEFT JOIN LATERAL (SELECT * FROM kb.jobs j WHERE j.integration_id = i.id AND j.status IN ('running', 'queued')
                   ORDER BY j.status DESC, j.created_at LIMIT 1) j ON true
WHERE ($1::timestamptz IS NULL OR (i.created_at, i.id) < ($1, $2::uuid))
  AND ($3::text IS NULL OR i.name = $3 OR i.id::text = $3)
  AND ($4::boolean IS NULL OR i.enabled = $4)
ORDER BY i.created_at DESC, i.id DESC
LIMIT $5
