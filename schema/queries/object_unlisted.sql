-- Children, of type $4, of the containers $2/$3 that live and are not among the ids $5, though their listing was
-- complete. What was looked at after the listing began ($6) may have come since. One probe a container, as in
-- object_cascade.sql.
SELECT o.external_type, o.external_id
FROM unnest($2::text[], $3::text[], $4::text[]) AS c (parent_type, parent_id, type)
CROSS JOIN LATERAL (
    SELECT * FROM kb.objects k
    WHERE k.integration_id = $1 AND k.external_parent_type = c.parent_type AND k.external_parent_id = c.parent_id OFFSET 0
) AS o
WHERE o.external_type = c.type AND o.deleted_at IS NULL AND o.observed_at < $6 AND o.synced_at < $6 AND o.id <> ALL($5::uuid[])
