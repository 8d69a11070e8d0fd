-- Bind a queue to topic patterns; $2 and $3 are the patterns and the same as regular expressions.
WITH wanted AS (SELECT * FROM unnest($2::text[], $3::text[]) AS w (pattern, regex)),
unbound AS (DELETE FROM kb.queue_bindings WHERE queue = $1 AND pattern <> ALL ($2::text[]))
INSERT INTO kb.queue_bindings (queue, pattern, regex)
SELECT $1, pattern, regex FROM wanted
ON CONFLICT (queue, pattern) DO UPDATE SET regex = EXCLUDED.regex
WHERE kb.queue_bindings.regex IS DISTINCT FROM EXCLUDED.regex
