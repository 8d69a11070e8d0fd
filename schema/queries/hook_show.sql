-- When an integration's hook was last seen, with the gap: changes of the last day that no delivery had brought.
SELECT w.checked_at, w.healthy_at,
    (SELECT count(*) FROM kb.missed_changes m WHERE m.integration_id = $1 AND m.found_at > now() - interval '1 day') AS missed_today,
    (SELECT count(*) FROM kb.missed_changes m WHERE m.integration_id = $1) AS missed
FROM kb.integrations i LEFT JOIN kb.webhooks w ON w.integration_id = i.id
WHERE i.id = $1
