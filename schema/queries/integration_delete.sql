-- An integration goes; where a time is given, only if nobody changed it since.
DELETE FROM kb.integrations
WHERE id = $1 AND ($2::timestamptz IS NULL OR updated_at = $2)
