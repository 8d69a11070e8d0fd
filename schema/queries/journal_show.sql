-- Every delivery of one event, newest first.
SELECT event_id, received_at, journaled_at, integration_id, type, subject, traceparent, headers, body
FROM kb.journal WHERE event_id = $1 ORDER BY received_at DESC
