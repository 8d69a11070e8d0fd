-- Of the types $2, what lives in the knowledge base or was ever told of by a delivery, and is not in the shadow yet; a
-- page after ($3, $4).
SELECT external_type, external_id FROM (
    SELECT o.external_type, o.external_id FROM kb.objects o WHERE o.integration_id = $1 AND o.deleted_at IS NULL
    UNION
    SELECT split_part(j.subject, '/', 1), split_part(j.subject, '/', 2) FROM kb.journal j
    WHERE j.integration_id = $1 AND j.subject LIKE '%/_%'
) known
WHERE external_type = ANY($2::text[]) AND (external_type, external_id) > ($3, $4)
  AND NOT EXISTS (SELECT FROM kb_shadow.objects s WHERE s.integration_id = $1
                  AND s.external_type = known.external_type AND s.external_id = known.external_id)
ORDER BY external_type, external_id LIMIT $5
