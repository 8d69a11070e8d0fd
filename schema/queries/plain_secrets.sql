-- A page of the webhook secrets that an earlier system kept beside its integrations, after $1.
SELECT id, webhook_secret AS secret
FROM kb.integrations
WHERE webhook_secret IS NOT NULL AND ($1::uuid IS NULL OR id > $1)
ORDER BY id
LIMIT $2
