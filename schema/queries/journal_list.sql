-- Newest first; every filter may be NULL. $2 is a prefix of the type.
SELECT event_id, received_at, integration_id, type, subject, traceparent, octet_length(body) AS size, outcome, reason
FROM kb.deliveries
WHERE ($1::uuid IS NULL OR integration_id = $1)
  AND ($2::text IS NULL OR starts_with(type, $2))
  AND ($3::timestamptz IS NULL OR received_at >= $3)
  AND ($4::timestamptz IS NULL OR received_at < $4)
  AND ($5::text IS NULL OR subject = $5)
  AND ($6::text IS NULL OR outcome = $6)
ORDER BY received_at DESC, event_id
LIMIT $7
