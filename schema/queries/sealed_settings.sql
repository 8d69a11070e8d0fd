-- A page of sealed settings, after $1.
SELECT id, settings_encrypted AS sealed
FROM kb.integrations
WHERE settings_encrypted IS NOT NULL AND ($1::uuid IS NULL OR id > $1)
ORDER BY id
LIMIT $2
