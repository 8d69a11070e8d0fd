-- Of these (external_type, external_id) pairs, those that live, and from when on a change is news to them.
SELECT o.external_type, o.external_id, o.external_updated_at, o.observed_at, o.provisional
FROM unnest($2::text[], $3::text[]) AS w (external_type, external_id)
JOIN kb.objects o ON o.integration_id = $1 AND o.external_type = w.external_type AND o.external_id = w.external_id
WHERE o.deleted_at IS NULL
