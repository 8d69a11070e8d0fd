-- Users met while reading; $1: array of people.
INSERT INTO kb.people AS p (id, integration_id, external_id, name, email)
SELECT DISTINCT ON (id) id, integration_id, external_id, name, email
FROM jsonb_to_recordset($1::jsonb) AS r (id uuid, integration_id uuid, external_id text, name text, email text)
ORDER BY id
ON CONFLICT (integration_id, external_id) DO UPDATE
SET name = EXCLUDED.name, email = EXCLUDED.email, updated_at = now()
WHERE (p.name, p.email) IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.email)
