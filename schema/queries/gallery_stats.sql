-- Counts for the front page.
SELECT
    (SELECT count(*) FROM kb.integrations) AS integrations,
    (SELECT count(*) FROM kb.integrations WHERE enabled) AS enabled,
    (SELECT count(*) FROM kb.clickup_sync_state WHERE consecutive_failures > 0) AS failing,
    (SELECT count(*) FROM kb.jobs WHERE status IN ('queued', 'running')) AS jobs_under_way,
    (SELECT count(*) FROM kb.missed_changes WHERE found_at > now() - interval '1 day') AS missed_today,
    (SELECT count(*) FROM kb.event_failures) AS failed_events,
    (SELECT coalesce(sum(total_synced_tasks), 0)::bigint FROM kb.clickup_sync_state) AS synced_tasks,
    (SELECT coalesce(sum(total_imported_objects), 0)::bigint FROM kb.clickup_sync_state) AS imported_objects,
    (SELECT count(*) FROM kb.journal WHERE received_at > now() - interval '1 hour') AS events_last_hour
