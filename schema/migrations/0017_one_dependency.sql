-- A dependency is one edge, though both its ends state it: what its src_id says counts, see relationship_replace.sql.
-- Programs of the version before state it twice for as long as they run; reading either end again mends that.
DELETE FROM kb.relationships k USING kb.relationships s
WHERE k.type = 'depends_on' AND k.asserted_by <> k.src_id
  AND s.type = k.type AND s.src_id = k.src_id AND s.dst_id = k.dst_id AND s.asserted_by = s.src_id;

COMMENT ON COLUMN kb.relationships.asserted_by IS 'The object whose reading states the edge; reading it again replaces its edges. Of a dependency, which both ends state, the one at src_id as soon as it was read.';
