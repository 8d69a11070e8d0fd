-- Which of these events were claimed already, and the database's time before anything is read from a source.
SELECT clock_timestamp() AS observed_at,
       coalesce(array_agg(event_id) FILTER (WHERE event_id IS NOT NULL), '{}') AS event_ids
FROM kb.inbox
WHERE consumer = $1 AND event_id = ANY($2::uuid[])
