-- deliveries.sql for those that failed so far: begun from the failures, not from the whole log. Same arguments.
-- A failure says when its deliveries were received, so each is looked up in its own day, and only as many as are shown: in
-- an outage nearly all of a day fails. Where that is not known, or there are several, all of its days are looked into.
SELECT d.event_id, d.received_at, d.journaled_at, NULL::timestamptz AS applied_at, d.integration_id, d.type, d.subject,
    d.traceparent, octet_length(d.body) AS size, 'failed' AS outcome, k.reason, k.tries
FROM (
    SELECT * FROM (
        SELECT received_to AS received_at, event_id, integration_id, reason, tries
        FROM kb.event_failures WHERE received_from = received_to
        UNION ALL
        SELECT j.received_at, f.event_id, f.integration_id, f.reason, f.tries
        FROM kb.event_failures f
        CROSS JOIN LATERAL (
            SELECT received_at FROM kb.journal
            WHERE event_id = f.event_id AND received_at >= coalesce(f.received_from, '-infinity')
              AND received_at <= coalesce(f.received_to, 'infinity')
            OFFSET 0
        ) j
        WHERE (f.received_from = f.received_to) IS NOT TRUE
    ) every
    WHERE ($1::timestamptz IS NULL OR (received_at, event_id) < ($1, $2::uuid))
      AND ($3::uuid[] IS NULL OR integration_id = ANY($3))
      AND ($5::timestamptz IS NULL OR received_at >= $5)
      AND ($6::timestamptz IS NULL OR received_at < $6)
    ORDER BY received_at DESC, event_id DESC
) k
CROSS JOIN LATERAL (
    SELECT * FROM kb.journal j
    WHERE j.received_at = k.received_at AND j.event_id = k.event_id AND (j.integration_id = k.integration_id) IS TRUE
    LIMIT 1
) d
LEFT JOIN LATERAL (
    SELECT true AS known FROM kb.inbox i WHERE i.consumer = 'knowledge' AND i.event_id = k.event_id LIMIT 1
) claimed ON true
WHERE claimed.known IS NULL AND $8::text = 'failed'
  AND ($4::text IS NULL OR starts_with(d.type, $4))
  AND ($7::text IS NULL OR d.subject = $7)
ORDER BY k.received_at DESC, k.event_id DESC
LIMIT $9
