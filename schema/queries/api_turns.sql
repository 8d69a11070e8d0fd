-- Tell what a source answered and get turns to call it, see kb.api_turns.
SELECT granted, wait_seconds
FROM kb.api_turns($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
