-- Stored objects, to compare them with what their source says.
SELECT id, type, external_type, external_id, external_url, external_parent_type, external_parent_id, external_updated_at,
    title, body, status, labels, properties, encode(content_hash, 'hex') AS content_hash, deleted_at, observed_at, created_at
FROM kb.objects WHERE id = ANY($1::uuid[])
