-- The latest deliveries about an object ($1 integration, $2 subject), newest first, and what became of each.
-- Through the index of subjects, then one look-up each, whatever the planner knows: without statistics it would read all
-- deliveries of the integration (so that condition is written as no index can serve it), and all claims.
SELECT j.event_id, j.type, j.received_at, claimed.claimed_at AS applied_at,
    CASE WHEN claimed.claimed_at IS NOT NULL THEN 'applied' WHEN failed.tries IS NOT NULL THEN 'failed' ELSE 'waiting' END
        AS outcome,
    CASE WHEN claimed.claimed_at IS NULL THEN failed.reason END AS reason,
    CASE WHEN claimed.claimed_at IS NULL THEN failed.tries END AS tries
FROM (
    SELECT event_id, type, received_at FROM kb.journal
    WHERE subject = $2 AND (integration_id = $1) IS TRUE
    ORDER BY received_at DESC, event_id
    LIMIT $3
) j
LEFT JOIN LATERAL (
    SELECT i.claimed_at FROM kb.inbox i WHERE i.consumer = 'knowledge' AND i.event_id = j.event_id LIMIT 1
) claimed ON true
LEFT JOIN LATERAL (
    SELECT f.reason, f.tries FROM kb.event_failures f WHERE f.event_id = j.event_id LIMIT 1
) failed ON true
ORDER BY j.received_at DESC, j.event_id
