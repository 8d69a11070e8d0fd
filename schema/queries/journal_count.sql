-- How many events a replay would be: the filters of journal_replay.sql.
SELECT count(DISTINCT event_id) AS events
FROM kb.deliveries
WHERE ($1::uuid IS NULL OR integration_id = $1)
  AND ($2::text IS NULL OR starts_with(type, $2))
  AND ($3::timestamptz IS NULL OR received_at >= $3)
  AND ($4::timestamptz IS NULL OR received_at < $4)
  AND ($5::text IS NULL OR subject = $5)
  AND ($6::text IS NULL OR outcome = $6)
  AND ($7::uuid[] IS NULL OR event_id = ANY($7))
