-- An import took the state: it runs.
UPDATE kb.clickup_sync_state SET import_status = 'running', active_import_job_id = $2 WHERE integration_id = $1
