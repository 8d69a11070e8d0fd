-- A job is over: the cursor moves on to $4 if it read everything before that ($5: all since the cursor, so no gap is
-- left), and an import ($6) leaves its status ($7).
UPDATE kb.clickup_sync_state s SET
    workspace_cursor = CASE WHEN $3 = '' THEN workspace_cursor ELSE jsonb_set(
        coalesce(workspace_cursor, '{}'), ARRAY[$3::text],
        (coalesce(workspace_cursor -> $3, '{}') - 'resume')
        || CASE WHEN $5 THEN jsonb_build_object('cursor', greatest((workspace_cursor -> $3 ->> 'cursor')::bigint, $4::bigint)::text)
                ELSE '{}' END) END,
    sync_cursor = CASE WHEN $5 THEN greatest((workspace_cursor -> $3 ->> 'cursor')::bigint, $4::bigint)::text ELSE sync_cursor END,
    import_status = CASE WHEN $6 THEN $7 ELSE import_status END,
    active_import_job_id = CASE WHEN active_import_job_id = $2 THEN NULL ELSE active_import_job_id END,
    last_full_import_at = CASE WHEN $6 AND $5 THEN now() ELSE last_full_import_at END
WHERE integration_id = $1
