-- Tombstone everything below the containers $1, and those of the objects $2 whose own container is already dead.
-- Two ways in, each from its own ids: as one condition over both, it would read the whole table for every batch. LIMIT
-- and OFFSET keep the planner to one probe a row, whatever it knows.
WITH RECURSIVE doomed AS (
    SELECT c.id, c.integration_id, c.external_type, c.external_id, p.deleted_at, p.caused_by, p.received_at
    FROM unnest($1::uuid[]) AS dead (id)
    CROSS JOIN LATERAL (SELECT * FROM kb.objects o WHERE o.id = dead.id LIMIT 1) AS p
    CROSS JOIN LATERAL (
        SELECT * FROM kb.objects o
        WHERE o.integration_id = p.integration_id AND o.external_parent_type = p.external_type
          AND o.external_parent_id = p.external_id OFFSET 0
    ) AS c
    WHERE p.deleted_at IS NOT NULL
  UNION
    SELECT c.id, c.integration_id, c.external_type, c.external_id, p.deleted_at, p.caused_by, p.received_at
    FROM unnest($2::uuid[]) AS living (id)
    CROSS JOIN LATERAL (SELECT * FROM kb.objects o WHERE o.id = living.id LIMIT 1) AS c
    CROSS JOIN LATERAL (
        SELECT o.deleted_at, o.caused_by, o.received_at FROM kb.objects o
        WHERE o.integration_id = c.integration_id AND o.external_type = c.external_parent_type
          AND o.external_id = c.external_parent_id LIMIT 1
    ) AS p
    WHERE p.deleted_at IS NOT NULL
  UNION
    SELECT c.id, c.integration_id, c.external_type, c.external_id, d.deleted_at, d.caused_by, d.received_at
    FROM doomed d
    CROSS JOIN LATERAL (
        SELECT * FROM kb.objects o
        WHERE o.integration_id = d.integration_id AND o.external_parent_type = d.external_type
          AND o.external_parent_id = d.external_id OFFSET 0
    ) AS c
), locked AS (
    -- in the order in which every other statement locks, so that two of them wait instead of deadlocking
    SELECT DISTINCT ON (o.id) o.id, d.deleted_at, d.caused_by, d.received_at
    FROM (SELECT id FROM kb.objects WHERE id = ANY(ARRAY(SELECT id FROM doomed)) AND deleted_at IS NULL
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
