-- Children, of type $4, of the containers $2/$3 that live and are not among the ids $5, though their listing was
-- complete. What was looked at after the listing began ($6) may have come since.
SELECT o.external_type, o.external_id
FROM unnest($2::text[], $3::text[], $4::text[]) AS c (parent_type, parent_id, type)
JOIN kb.objects o ON o.integration_id = $1 AND o.external_parent_type = c.parent_type
    AND o.external_parent_id = c.parent_id AND o.external_type = c.type
WHERE o.deleted_at IS NULL AND o.observed_at < $6 AND o.synced_at < $6 AND o.id <> ALL($5::uuid[])
