-- Of these (external_type, external_id) pairs, the ones of which nothing is known yet.
-- One probe a pair, as in object_standing.sql.
SELECT w.external_type, w.external_id
FROM unnest($2::text[], $3::text[]) AS w (external_type, external_id)
LEFT JOIN LATERAL (
    SELECT o.id FROM kb.objects o
    WHERE o.integration_id = $1 AND o.external_type = w.external_type AND o.external_id = w.external_id LIMIT 1
) AS known ON true
WHERE known.id IS NULL
