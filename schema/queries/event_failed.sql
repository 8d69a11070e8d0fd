-- These events could not be applied; one whose integration is gone has nobody to tell. The times are of the deliveries:
-- where one is not known (noted by an older program), how far they reach stays unknown.
INSERT INTO kb.event_failures AS f (event_id, integration_id, reason, received_from, received_to)
SELECT e.event_id, e.integration_id, max(e.reason), min(e.received_at), max(e.received_at)
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[]) AS e (event_id, integration_id, reason, received_at)
JOIN kb.integrations i ON i.id = e.integration_id
GROUP BY e.event_id, e.integration_id
ORDER BY e.event_id
ON CONFLICT (event_id) DO UPDATE SET reason = EXCLUDED.reason, tries = f.tries + 1, last_at = now(),
    received_from = CASE WHEN f.received_from IS NOT NULL THEN least(f.received_from, EXCLUDED.received_from) END,
    received_to = CASE WHEN f.received_to IS NOT NULL THEN greatest(f.received_to, EXCLUDED.received_to) END
