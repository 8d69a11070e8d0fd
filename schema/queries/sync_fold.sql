-- Fold applied changes into the state, one row an integration. $1: array of sums.
UPDATE kb.clickup_sync_state s SET
    last_workspace_sync_at = greatest(s.last_workspace_sync_at, d.workspace_at),
    last_space_sync_at     = greatest(s.last_space_sync_at, d.space_at),
    last_folder_sync_at    = greatest(s.last_folder_sync_at, d.folder_at),
    last_list_sync_at      = greatest(s.last_list_sync_at, d.list_at),
    last_task_sync_at      = greatest(s.last_task_sync_at, d.task_at),
    total_synced_tasks     = s.total_synced_tasks + d.tasks,
    total_synced_lists     = s.total_synced_lists + d.lists,
    total_synced_spaces    = s.total_synced_spaces + d.spaces,
    -- until a job has read everything there is no mark before which all is applied, only the latest change that is
    sync_cursor            = CASE WHEN jsonb_path_exists(coalesce(s.workspace_cursor, '{}'), '$.*.cursor')
                                  THEN s.sync_cursor ELSE greatest(s.sync_cursor::bigint, d.cursor)::text END
FROM (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS r (
        integration_id uuid, workspace_at timestamptz, space_at timestamptz, folder_at timestamptz,
        list_at timestamptz, task_at timestamptz, tasks int, lists int, spaces int, cursor bigint)
    ORDER BY integration_id
) d
WHERE s.integration_id = d.integration_id
