-- Ids of the living objects of a type, a page after $3; of those with a place, only in the spaces $5 or lists $6.
SELECT external_id
FROM kb.objects
WHERE integration_id = $1 AND external_type = $2 AND external_id > $3 AND deleted_at IS NULL
  AND ((cardinality($5::text[]) = 0 AND cardinality($6::text[]) = 0)
       OR properties ->> 'space_id' = ANY($5::text[]) OR properties ->> 'list_id' = ANY($6::text[]))
ORDER BY external_id
LIMIT $4
