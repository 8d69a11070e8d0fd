-- The rows whose last change an event caused.
SELECT id, external_type, external_id, title, version, action, synced_at, nullif(kb.shown_at(o), synced_at) AS stated_at
FROM kb.objects o WHERE caused_by = $1 ORDER BY synced_at, id LIMIT 50
