-- These events are applied: what failed before is history.
DELETE FROM kb.event_failures WHERE event_id = ANY($1::uuid[])
