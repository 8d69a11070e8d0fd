-- What changes when something that pages show has changed, and when the latest delivery came in.
SELECT concat_ws(' ', (SELECT max(updated_at) FROM kb.integrations), (SELECT max(updated_at) FROM kb.clickup_sync_state),
        (SELECT max(updated_at) FROM kb.jobs),
        (SELECT string_agg(concat(status, fail_count, problem), ' ' ORDER BY integration_id) FROM kb.webhooks)) AS state,
    (SELECT received_at FROM kb.journal ORDER BY received_at DESC, event_id DESC LIMIT 1) AS received_at
