-- A page of events to replay, after ($8, $9): oldest first, each as it was first delivered. Every filter may be NULL.
SELECT d.event_id, d.received_at, d.headers, d.body
FROM kb.deliveries d
WHERE ($1::uuid IS NULL OR d.integration_id = $1)
  AND ($2::text IS NULL OR starts_with(d.type, $2))
  AND ($3::timestamptz IS NULL OR d.received_at >= $3)
  AND ($4::timestamptz IS NULL OR d.received_at < $4)
  AND ($5::text IS NULL OR d.subject = $5)
  AND ($6::text IS NULL OR d.outcome = $6)
  AND ($7::uuid[] IS NULL OR d.event_id = ANY($7))
  AND (d.received_at, d.event_id) > ($8::timestamptz, $9::uuid)
  AND NOT EXISTS (SELECT FROM kb.journal k WHERE k.event_id = d.event_id AND k.received_at < d.received_at)
ORDER BY d.received_at, d.event_id
LIMIT $10
