-- A delivery told of these objects ($2) after all: the change it made at $3 was not missed. One that says no time
-- explains what was found in the last minute.
DELETE FROM kb.missed_changes WHERE ctid = ANY(ARRAY(
    SELECT m.ctid
    FROM unnest($2::uuid[], $3::timestamptz[]) AS t (object_id, changed_at)
    CROSS JOIN LATERAL (
        SELECT k.ctid, k.integration_id, k.changed_at, k.found_at FROM kb.missed_changes k
        WHERE k.object_id = t.object_id OFFSET 0
    ) AS m
    WHERE m.integration_id = $1
      AND CASE WHEN t.changed_at IS NULL OR m.changed_at IS NULL THEN m.found_at > now() - interval '1 minute'
               ELSE m.changed_at BETWEEN t.changed_at - interval '2 seconds' AND t.changed_at + interval '2 seconds' END))
