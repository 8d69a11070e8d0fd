-- The edges that the objects $1 state are now exactly those of $2: array of edges. One probe an object, as in
-- object_cascade.sql. Both ends of a dependency state it: there is one edge, what its src_id says of it, and what the other
-- one says only until that has been read.
WITH stated AS (
    SELECT DISTINCT src_id, dst_id, type, asserted_by, type = 'depends_on' AND asserted_by = src_id AS by_source
    FROM jsonb_to_recordset($2::jsonb) AS r (src_id uuid, dst_id uuid, type text, asserted_by uuid)
), known AS (
    SELECT r.ctid, r.src_id, r.dst_id, r.type, r.asserted_by
    FROM (SELECT DISTINCT src_id, dst_id, type FROM stated WHERE type = 'depends_on') s
    CROSS JOIN LATERAL (
        SELECT k.ctid, k.* FROM kb.relationships k
        WHERE k.src_id = s.src_id AND k.type = s.type AND k.dst_id = s.dst_id OFFSET 0
    ) r
), kept AS (
    SELECT s.src_id, s.dst_id, s.type, s.asserted_by FROM stated s
    WHERE s.type <> 'depends_on' OR s.by_source
       OR NOT (EXISTS (SELECT FROM stated o WHERE o.by_source AND (o.src_id, o.dst_id) = (s.src_id, s.dst_id))
            OR EXISTS (SELECT FROM known k WHERE k.asserted_by = k.src_id AND (k.src_id, k.dst_id) = (s.src_id, s.dst_id)))
), withdrawn AS (
    DELETE FROM kb.relationships WHERE ctid = ANY(ARRAY(
        SELECT r.ctid
        FROM unnest($1::uuid[]) AS o (id)
        CROSS JOIN LATERAL (
            SELECT k.ctid, k.* FROM kb.relationships k WHERE k.asserted_by = o.id OFFSET 0
        ) AS r
        WHERE NOT EXISTS (SELECT FROM kept s WHERE (s.src_id, s.dst_id, s.type, s.asserted_by)
                                                 = (r.src_id, r.dst_id, r.type, r.asserted_by))
        UNION
        SELECT k.ctid FROM known k JOIN stated s ON s.by_source AND (s.src_id, s.dst_id) = (k.src_id, k.dst_id)
        WHERE k.asserted_by <> k.src_id))
)
INSERT INTO kb.relationships (src_id, dst_id, type, asserted_by)
SELECT src_id, dst_id, type, asserted_by FROM kept
ON CONFLICT DO NOTHING
