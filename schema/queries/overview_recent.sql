-- What changed last.
SELECT action, external_type, title, version, synced_at,
    extract(epoch FROM kb.shown_at(o) - received_at)::float8 AS freshness
FROM kb.objects o ORDER BY synced_at DESC LIMIT $1
