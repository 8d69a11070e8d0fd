-- An integration and its hook, as `hook_take` gives them, without taking it; there may be none yet.
SELECT i.id, i.name, i.enabled, i.settings_encrypted, t.lease, t.webhook_id, t.endpoint,
    coalesce(t.hears, '{}') AS hears, coalesce(t.events, '{}') AS events, coalesce(t.chosen, false) AS chosen,
    t.address, t.owner, coalesce(t.status, 'unknown') AS status, coalesce(t.fail_count, 0) AS fail_count, t.problem,
    coalesce(t.wanted, true) AS wanted, t.checked_at, t.healthy_at, false AS in_doubt, false AS has_cursor
FROM kb.integrations i LEFT JOIN kb.webhooks t ON t.integration_id = i.id
WHERE i.id = $1
