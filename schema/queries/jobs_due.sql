-- Integrations that are followed (a cursor says so) and were not synced for $1, or not swept for $2.
SELECT i.id AS integration_id,
    CASE WHEN coalesce(l.swept, '-infinity') < now() - $2::interval THEN 'sweep' ELSE 'sync' END AS kind
FROM kb.integrations i
JOIN kb.clickup_sync_state s ON s.integration_id = i.id
CROSS JOIN LATERAL (
    SELECT max(coalesce(j.finished_at, 'infinity')) AS read,
        max(coalesce(j.finished_at, 'infinity')) FILTER (WHERE j.kind IN ('sweep', 'import')) AS swept
    FROM kb.jobs j WHERE j.integration_id = i.id) l
WHERE i.enabled AND jsonb_path_exists(s.workspace_cursor, '$.*.cursor')
  AND (coalesce(l.read, '-infinity') < now() - $1::interval
       OR (coalesce(l.swept, '-infinity') < now() - $2::interval AND l.read <> 'infinity'))
