-- These events could not be applied; one whose integration is gone has nobody to tell.
INSERT INTO kb.event_failures AS f (event_id, integration_id, reason)
SELECT e.event_id, e.integration_id, e.reason
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS e (event_id, integration_id, reason)
JOIN kb.integrations i ON i.id = e.integration_id
ORDER BY e.event_id
ON CONFLICT (event_id) DO UPDATE SET reason = EXCLUDED.reason, tries = f.tries + 1, last_at = now()
