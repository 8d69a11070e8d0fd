-- Deliveries, newest first after ($1, $2); every filter may be NULL: $3 integrations, $4 beginning of the type, $5 since,
-- $6 until, $7 subject, $8 outcome; most $9.
SELECT event_id, received_at, journaled_at, applied_at, integration_id, type, subject, traceparent,
    octet_length(body) AS size, outcome, reason, tries
FROM kb.deliveries
WHERE ($1::timestamptz IS NULL OR (received_at, event_id) < ($1, $2::uuid))
  AND ($3::uuid[] IS NULL OR integration_id = ANY($3))
  AND ($4::text IS NULL OR starts_with(type, $4))
  AND ($5::timestamptz IS NULL OR received_at >= $5)
  AND ($6::timestamptz IS NULL OR received_at < $6)
  AND ($7::text IS NULL OR subject = $7)
  AND ($8::text IS NULL OR outcome = $8)
ORDER BY received_at DESC, event_id DESC
LIMIT $9
