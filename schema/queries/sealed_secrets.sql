-- A page of sealed webhook secrets, after $1.
SELECT id, secret_sealed AS sealed
FROM kb.webhook_secrets
WHERE $1::uuid IS NULL OR id > $1
ORDER BY id
LIMIT $2
