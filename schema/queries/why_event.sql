-- The delivery that wrote a row, as it was first received, and when it was applied.
SELECT event_id, type, subject, received_at, (headers ->> 'cloudEvents_publishedat')::timestamptz AS published_at,
    journaled_at, applied_at, traceparent
FROM kb.deliveries WHERE event_id = $1
ORDER BY received_at LIMIT 1
