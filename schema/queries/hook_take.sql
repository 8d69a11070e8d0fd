-- Take a hook to look after: lease $1 for $2 seconds; $3 one integration's, enabled or not, or whichever is due.
-- One that is not wanted is due until it is known to be gone. In doubt: the last look was not finished or could not
-- see it, or for more than $4 nobody looked or could look.
WITH chosen AS (
    SELECT c.*
    FROM kb.webhooks c JOIN kb.integrations i ON i.id = c.integration_id
    WHERE c.lease_until < clock_timestamp()
      AND CASE WHEN $3::uuid IS NULL
               THEN c.due_at <= clock_timestamp() AND i.enabled AND (c.wanted OR c.status <> 'missing')
               ELSE c.integration_id = $3 END
    ORDER BY c.due_at
    LIMIT 1
    FOR UPDATE OF c SKIP LOCKED
), taken AS (
    UPDATE kb.webhooks w SET lease = $1, lease_until = clock_timestamp() + make_interval(secs => $2)
    FROM chosen c
    WHERE w.integration_id = c.integration_id
    RETURNING w.*
)
SELECT i.id, i.name, i.enabled, i.settings_encrypted, t.lease, t.webhook_id, t.endpoint, t.hears, t.events, t.chosen,
    t.address, t.owner, t.status, t.fail_count, t.problem, t.wanted, t.checked_at, t.healthy_at,
    coalesce(t.healthy_at IS NOT NULL AND t.wanted AND (
        c.lease IS NOT NULL OR t.status = 'unknown' OR t.checked_at < clock_timestamp() - $4::interval
        OR (t.problem IS NOT NULL AND t.healthy_at < clock_timestamp() - $4::interval)), false) AS in_doubt,
    coalesce(jsonb_path_exists(s.workspace_cursor, '$.*.cursor'), false) AS has_cursor
FROM taken t
JOIN chosen c USING (integration_id)
JOIN kb.integrations i ON i.id = t.integration_id
LEFT JOIN kb.clickup_sync_state s ON s.integration_id = i.id
