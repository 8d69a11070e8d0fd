-- Living rows that were read before, locked in the order in which looks lock: tasks, then what lies below them.
-- Found by their ids alone: without statistics the planner takes what lives for a few rows, and reads all that does.
WITH named AS MATERIALIZED (
    SELECT id, external_updated_at, observed_at, title, body, status, labels, external_parent_type, external_parent_id,
        properties, provisional, amended_to, deleted_at, content_hash
    FROM kb.objects
    WHERE id = ANY($1::uuid[])
    ORDER BY external_type = 'comment', external_type = 'task', id
    FOR UPDATE
)
SELECT id, external_updated_at, observed_at, title, body, status, labels, external_parent_type, external_parent_id,
    properties, provisional, amended_to
FROM named WHERE deleted_at IS NULL AND content_hash IS NOT NULL
