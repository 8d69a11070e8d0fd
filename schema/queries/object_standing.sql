-- Of these (external_type, external_id) pairs, those that live, and from when on a change is news to them.
-- One probe a pair, whatever the planner knows: without statistics it would read all that the integration has.
SELECT o.external_type, o.external_id, o.external_updated_at, o.observed_at, o.provisional
FROM unnest($2::text[], $3::text[]) AS w (external_type, external_id)
CROSS JOIN LATERAL (
    SELECT * FROM kb.objects o
    WHERE o.integration_id = $1 AND o.external_type = w.external_type AND o.external_id = w.external_id LIMIT 1
) AS o
WHERE o.deleted_at IS NULL
