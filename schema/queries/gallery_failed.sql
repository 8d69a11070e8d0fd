-- gallery_events.sql for those that failed so far: begun from the few failures, not from the whole log. Same arguments.
SELECT event_id, received_at, journaled_at, applied_at, integration_id, type, subject, traceparent,
    octet_length(body) AS size, outcome, d.reason, d.tries
FROM kb.event_failures f JOIN kb.deliveries d USING (event_id, integration_id)
WHERE ($1::timestamptz IS NULL OR (received_at, event_id) < ($1, $2::uuid))
  AND ($3::uuid[] IS NULL OR integration_id = ANY($3))
  AND ($4::text IS NULL OR starts_with(type, $4))
  AND ($5::timestamptz IS NULL OR received_at >= $5)
  AND ($6::timestamptz IS NULL OR received_at < $6)
  AND ($7::text IS NULL OR subject = $7)
  AND outcome = $8
ORDER BY received_at DESC, event_id DESC
LIMIT $9
