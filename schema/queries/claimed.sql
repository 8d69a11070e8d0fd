-- Which of these events were claimed already, and the database's time before anything is read from a source.
-- One probe an event, whatever the planner knows: without statistics, as after an installation, it would otherwise read
-- all that the consumer ever claimed.
SELECT clock_timestamp() AS observed_at,
       coalesce(array_agg(known.event_id) FILTER (WHERE known.event_id IS NOT NULL), '{}') AS event_ids
FROM unnest($2::uuid[]) AS asked (event_id)
LEFT JOIN LATERAL (
    SELECT i.event_id FROM kb.inbox i WHERE i.consumer = $1 AND i.event_id = asked.event_id LIMIT 1
) AS known ON true
