-- Of these rows, those that deliveries amended since they were read.
SELECT id, title, body, status, labels, external_parent_type, external_parent_id, properties, provisional
FROM kb.objects WHERE id = ANY($1::uuid[]) AND provisional IS NOT NULL
