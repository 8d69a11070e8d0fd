-- Claim events for a consumer. Returns those that nobody claimed before: their effect belongs to this transaction.
INSERT INTO kb.inbox (consumer, event_id)
SELECT $1, event_id FROM unnest($2::uuid[]) AS event_id
ORDER BY event_id
ON CONFLICT DO NOTHING
RETURNING event_id
