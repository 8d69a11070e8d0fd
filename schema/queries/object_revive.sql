-- What was deleted only along with the objects $1 lives again with them, level by level. One probe a row, as in
-- object_cascade.sql.
WITH RECURSIVE revived AS (
    SELECT c.id, c.integration_id, c.external_type, c.external_id, p.caused_by, p.received_at
    FROM unnest($1::uuid[]) AS back (id)
    CROSS JOIN LATERAL (SELECT * FROM kb.objects o WHERE o.id = back.id LIMIT 1) AS p
    CROSS JOIN LATERAL (
        SELECT * FROM kb.objects o
        WHERE o.integration_id = p.integration_id AND o.external_parent_type = p.external_type
          AND o.external_parent_id = p.external_id OFFSET 0
    ) AS c
    WHERE p.deleted_at IS NULL AND c.deleted_because = 'cascade'
  UNION
    SELECT c.id, c.integration_id, c.external_type, c.external_id, r.caused_by, r.received_at
    FROM revived r
    CROSS JOIN LATERAL (
        SELECT * FROM kb.objects o
        WHERE o.integration_id = r.integration_id AND o.external_parent_type = r.external_type
          AND o.external_parent_id = r.external_id OFFSET 0
    ) AS c
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
