-- The latest deliveries about an object ($1 integration, $2 subject), newest first, and what became of each.
SELECT event_id, type, received_at, applied_at, outcome, reason, tries
FROM kb.deliveries WHERE integration_id = $1 AND subject = $2
ORDER BY received_at DESC, event_id
LIMIT $3
