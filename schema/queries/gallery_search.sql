-- The best matches for $1; of the types $2, of the integration $3, most $4.
SELECT * FROM kb.search_objects($1, $2, $3, $4)
