-- Living rows that were read before, locked in the order in which looks lock: tasks, then what lies below them.
SELECT id, external_updated_at, observed_at, title, body, status, labels, external_parent_type, external_parent_id,
    properties, provisional, amended_to
FROM kb.objects
WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL AND content_hash IS NOT NULL
ORDER BY external_type = 'comment', external_type = 'task', id
FOR UPDATE
