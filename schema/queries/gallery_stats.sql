-- Counts for the front page. An integration is failing by the same rule that gives its card the state.
SELECT
    (SELECT count(*) FROM kb.integrations) AS integrations,
    (SELECT count(*) FROM kb.integrations WHERE enabled) AS enabled,
    (
        SELECT count(*) FROM kb.integrations i
        LEFT JOIN kb.clickup_sync_state s ON s.integration_id = i.id
        LEFT JOIN kb.webhooks w ON w.integration_id = i.id
        WHERE i.enabled AND (s.consecutive_failures > 0 OR w.problem <> '' OR w.status = 'suspended')
    ) AS failing,
    (SELECT count(*) FROM kb.jobs WHERE status IN ('queued', 'running')) AS jobs_under_way,
    (SELECT count(*) FROM kb.missed_changes WHERE found_at > now() - interval '1 day') AS missed_today,
    (SELECT count(*) FROM kb.event_failures) AS failed_events,
    (SELECT coalesce(sum(total_synced_tasks), 0)::bigint FROM kb.clickup_sync_state) AS synced_tasks,
    (SELECT coalesce(sum(total_imported_objects), 0)::bigint FROM kb.clickup_sync_state) AS imported_objects,
    (SELECT count(*) FROM kb.journal WHERE received_at > now() - interval '1 hour') AS events_last_hour
