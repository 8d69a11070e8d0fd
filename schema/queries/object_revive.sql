-- What was deleted only along with the objects $1 lives again with them, level by level.
WITH RECURSIVE revived AS (
    SELECT c.id, c.integration_id, c.external_type, c.external_id, p.caused_by, p.received_at
    FROM kb.objects p
    JOIN kb.objects c ON c.integration_id = p.integration_id
        AND c.external_parent_type = p.external_type AND c.external_parent_id = p.external_id
    WHERE p.id = ANY($1::uuid[]) AND p.deleted_at IS NULL AND c.deleted_because = 'cascade'
  UNION
    SELECT c.id, c.integration_id, c.external_type, c.external_id, r.caused_by, r.received_at
    FROM revived r
    JOIN kb.objects c ON c.integration_id = r.integration_id
        AND c.external_parent_type = r.external_type AND c.external_parent_id = r.external_id
    WHERE c.deleted_because = 'cascade'
)
UPDATE kb.objects o SET
    deleted_at = NULL, deleted_because = NULL, action = 'created', version = o.version + 1,
    caused_by = r.caused_by, received_at = r.received_at,
    synced_at = statement_timestamp(), updated_at = statement_timestamp()
FROM revived r
WHERE o.id = r.id
RETURNING o.id, o.org_id, o.project_id, o.integration_id, o.type, o.external_source, o.external_type, o.external_id,
    o.external_url, o.external_updated_at, o.title, o.status, o.version, o.action, o.deleted_at, o.caused_by,
    o.received_at, o.synced_at, true AS news
