-- deliveries.sql for those that wait. Same arguments.
-- Most events are claimed soon after they came: what was claimed since $5, and what failed, is taken away in one go, and
-- only what is left is looked up. The look-up decides, so a claim of before $5 counts (the source sent the event again, or
-- the clocks differ). A full join, though only one side of it is wanted, since the planner cannot run it as a loop in a
-- loop; and a condition on the consumer that no index serves, since that would be the one of all claims.
SELECT d.event_id, d.received_at, d.journaled_at, NULL::timestamptz AS applied_at, d.integration_id, d.type, d.subject,
    d.traceparent, octet_length(d.body) AS size, 'waiting' AS outcome, NULL AS reason, NULL::int AS tries
FROM (
    SELECT j.received_at, j.event_id
    FROM (
        SELECT received_at, event_id FROM kb.journal
        WHERE received_at >= coalesce($5::timestamptz, '-infinity')
          AND received_at < coalesce($6::timestamptz, 'infinity')
          AND ($1::timestamptz IS NULL OR (received_at, event_id) < ($1, $2::uuid))
          AND ($3::uuid[] IS NULL OR integration_id = ANY($3))
          AND ($4::text IS NULL OR starts_with(type, $4))
          AND ($7::text IS NULL OR subject = $7)
    ) j
    FULL JOIN (
        SELECT event_id FROM kb.inbox
        WHERE (consumer = 'knowledge') IS TRUE AND claimed_at >= $5
          AND claimed_at < coalesce(least($1, $6), 'infinity') + interval '1 hour'
        UNION ALL
        SELECT event_id FROM kb.event_failures
    ) known ON known.event_id = j.event_id
    WHERE known.event_id IS NULL
    ORDER BY j.received_at DESC, j.event_id DESC
) k
LEFT JOIN LATERAL (
    SELECT true AS known FROM kb.inbox i WHERE i.consumer = 'knowledge' AND i.event_id = k.event_id LIMIT 1
) claimed ON true
CROSS JOIN LATERAL (
    SELECT * FROM kb.journal j WHERE j.received_at = k.received_at AND j.event_id = k.event_id LIMIT 1
) d
WHERE claimed.known IS NULL AND $8::text = 'waiting'
ORDER BY k.received_at DESC, k.event_id DESC
LIMIT $9
