-- Ids of a type $2 that live in the knowledge base or in the shadow, a page after $3.
SELECT external_id FROM kb.objects
WHERE integration_id = $1 AND external_type = $2 AND external_id > $3 AND deleted_at IS NULL
UNION
SELECT external_id FROM kb_shadow.objects
WHERE integration_id = $1 AND external_type = $2 AND external_id > $3 AND record IS NOT NULL
ORDER BY external_id LIMIT $4
