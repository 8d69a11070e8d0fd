-- How the whole installation stands, as numbers for metrics: a name, its labels, a value. What there is none of has no
-- row. Integrations count while they are enabled.
WITH followed AS (
    SELECT i.id, s.consecutive_failures, s.sync_cursor IS NOT NULL AS synced, i.created_at
    FROM kb.integrations i LEFT JOIN kb.clickup_sync_state s ON s.integration_id = i.id WHERE i.enabled
), budgets AS (
    SELECT b.calls, CASE WHEN clock_timestamp() >= b.resets_at THEN b.calls ELSE greatest(b.calls - b.counted, 0) END AS spare,
        b.blocked_until > clock_timestamp() AS blocked
    FROM kb.api_budgets b WHERE EXISTS (SELECT FROM kb.api_callers c WHERE c.key = b.key)
), outbox AS (
    SELECT created_at FROM kb.outbox ORDER BY id LIMIT 100000
), spool AS (
    SELECT count(*) FILTER (WHERE queue = 'kb.spool.dead') AS dead FROM kb.queue_messages WHERE queue = 'kb.spool.dead'
)
SELECT 'integrations' AS name, '{}'::text[] AS labels, count(*)::float8 AS value FROM followed
UNION ALL SELECT 'failing', '{}', count(*) FILTER (WHERE consecutive_failures > 0) FROM followed
UNION ALL SELECT 'webhooks', ARRAY[w.status], count(*) FROM kb.webhooks w JOIN followed f ON f.id = w.integration_id
    WHERE w.wanted GROUP BY w.status
UNION ALL SELECT 'webhook_problems', '{}', count(w.problem) FROM kb.webhooks w JOIN followed f ON f.id = w.integration_id
    WHERE w.wanted
UNION ALL SELECT 'webhook_unchecked', '{}', coalesce(max(extract(epoch FROM now() - w.checked_at)), 0)
    FROM kb.webhooks w JOIN followed f ON f.id = w.integration_id WHERE w.wanted
UNION ALL SELECT 'missed', '{}', count(*) FROM kb.missed_changes
UNION ALL SELECT 'jobs', ARRAY[kind, status], count(*) FROM kb.jobs
    WHERE status IN ('queued', 'running') GROUP BY kind, status
UNION ALL SELECT 'job_progress', ARRAY[kind], min(least(done::float8 / greatest(total, 1), 1)) FROM kb.jobs
    WHERE status = 'running' AND total IS NOT NULL GROUP BY kind
UNION ALL SELECT 'job_silent', ARRAY[kind], max(extract(epoch FROM now() - updated_at)) FROM kb.jobs
    WHERE status = 'running' GROUP BY kind
UNION ALL SELECT 'jobs_ended', ARRAY[kind, status], count(*) FROM kb.jobs
    WHERE status IN ('completed', 'failed', 'cancelled') AND finished_at > now() - interval '1 day' GROUP BY kind, status
UNION ALL SELECT 'sync_age', '{}', coalesce(max(extract(epoch FROM now() - coalesce(
        (SELECT max(j.finished_at) FROM kb.jobs j WHERE j.integration_id = f.id AND j.status = 'completed'), f.created_at))), 0)
    FROM followed f WHERE f.synced
UNION ALL SELECT 'budget', '{}', min(calls) FROM budgets HAVING min(calls) IS NOT NULL
UNION ALL SELECT 'budget_left', '{}', min(spare) FROM budgets HAVING min(spare) IS NOT NULL
UNION ALL SELECT 'budgets_blocked', '{}', count(*) FILTER (WHERE blocked) FROM budgets
UNION ALL SELECT 'outbox', '{}', count(*) FROM outbox
UNION ALL SELECT 'outbox_oldest', '{}', coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM outbox
UNION ALL SELECT 'spool_dead', '{}', dead FROM spool
