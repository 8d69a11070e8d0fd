-- Every delivery of one event, newest first.
SELECT event_id, received_at, (headers ->> 'cloudEvents_publishedat')::timestamptz AS published_at, journaled_at,
    integration_id, type, subject, traceparent, headers, body
FROM kb.journal WHERE event_id = $1 ORDER BY received_at DESC
