-- The edges that the objects $1 state are now exactly those of $2: array of edges. One probe an object, as in
-- object_cascade.sql.
WITH stated AS (
    SELECT src_id, dst_id, type, asserted_by
    FROM jsonb_to_recordset($2::jsonb) AS r (src_id uuid, dst_id uuid, type text, asserted_by uuid)
), withdrawn AS (
    DELETE FROM kb.relationships WHERE ctid = ANY(ARRAY(
        SELECT r.ctid
        FROM unnest($1::uuid[]) AS o (id)
        CROSS JOIN LATERAL (
            SELECT k.ctid, k.* FROM kb.relationships k WHERE k.asserted_by = o.id OFFSET 0
        ) AS r
        WHERE NOT EXISTS (SELECT FROM stated s WHERE (s.src_id, s.dst_id, s.type, s.asserted_by)
                                                   = (r.src_id, r.dst_id, r.type, r.asserted_by))))
)
INSERT INTO kb.relationships (src_id, dst_id, type, asserted_by)
SELECT DISTINCT src_id, dst_id, type, asserted_by FROM stated
ON CONFLICT DO NOTHING
