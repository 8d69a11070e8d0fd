-- A page of a job is applied: where it goes on ($3 workspace, $4 resume point) and what an import wrote.
UPDATE kb.clickup_sync_state SET
    workspace_cursor = jsonb_set(
        coalesce(workspace_cursor, '{}'), ARRAY[$3::text],
        coalesce(workspace_cursor -> $3, '{}') || jsonb_build_object('resume', jsonb_build_object('job', $2::uuid, 'at', $4::jsonb))),
    total_imported_objects = total_imported_objects + $5
WHERE integration_id = $1
