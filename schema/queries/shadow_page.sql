-- A page of the shadow: records ($4 false) or what is gone ($4 true), of the type $2, after the id $3.
SELECT external_type, external_id, observed_at, record, because FROM kb_shadow.objects
WHERE integration_id = $1 AND external_type = $2 AND external_id > $3 AND (because IS NOT NULL) = $4
ORDER BY external_id LIMIT $5
