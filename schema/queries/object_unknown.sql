-- Of these (external_type, external_id) pairs, the ones of which nothing is known yet.
SELECT w.external_type, w.external_id
FROM unnest($2::text[], $3::text[]) AS w (external_type, external_id)
WHERE NOT EXISTS (
    SELECT FROM kb.objects o
    WHERE o.integration_id = $1 AND o.external_type = w.external_type AND o.external_id = w.external_id)
