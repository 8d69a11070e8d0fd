-- Every delivery of one event, newest first, and what became of it.
SELECT event_id, received_at, journaled_at, applied_at, integration_id, type, subject, traceparent, headers, body,
    octet_length(body) AS size, outcome, reason, tries
FROM kb.deliveries WHERE event_id = $1 ORDER BY received_at DESC LIMIT 20
