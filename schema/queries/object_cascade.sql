-- Tombstone everything below the containers $1, and those of the objects $2 whose own container is already dead.
WITH RECURSIVE doomed AS (
    SELECT c.id, c.integration_id, c.external_type, c.external_id, p.deleted_at, p.caused_by, p.received_at
    FROM kb.objects p
    JOIN kb.objects c ON c.integration_id = p.integration_id
        AND c.external_parent_type = p.external_type AND c.external_parent_id = p.external_id
    WHERE p.deleted_at IS NOT NULL
      AND (p.id = ANY($1::uuid[]) OR c.id = ANY($2::uuid[]))
  UNION
    SELECT c.id, c.integration_id, c.external_type, c.external_id, d.deleted_at, d.caused_by, d.received_at
    FROM doomed d
    JOIN kb.objects c ON c.integration_id = d.integration_id
        AND c.external_parent_type = d.external_type AND c.external_parent_id = d.external_id
), locked AS (
    -- in the order in which every other statement locks, so that two of them wait instead of deadlocking
    SELECT DISTINCT ON (o.id) o.id, d.deleted_at, d.caused_by, d.received_at
    FROM (SELECT id FROM kb.objects WHERE id IN (SELECT id FROM doomed) AND deleted_at IS NULL
          ORDER BY id FOR UPDATE) o
    JOIN doomed d USING (id)
    ORDER BY o.id, d.deleted_at
)
UPDATE kb.objects o SET
    deleted_at = l.deleted_at, deleted_because = 'cascade', action = 'deleted', version = o.version + 1,
    -- the event that deleted the container, unless the object itself was heard of later
    caused_by = CASE WHEN l.received_at < o.received_at THEN o.caused_by ELSE l.caused_by END,
    received_at = CASE WHEN l.received_at < o.received_at THEN o.received_at ELSE l.received_at END, synced_at = statement_timestamp(), updated_at = statement_timestamp()
FROM locked l
WHERE o.id = l.id
RETURNING o.id, o.org_id, o.project_id, o.integration_id, o.type, o.external_source, o.external_type, o.external_id,
    o.external_url, o.external_updated_at, o.title, o.status, o.version, o.action, o.deleted_at, o.caused_by,
    o.received_at, o.synced_at, true AS news
