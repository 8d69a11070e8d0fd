-- What changed last.
SELECT action, external_type, title, version, synced_at,
    extract(epoch FROM synced_at - received_at)::float8 AS freshness
FROM kb.objects ORDER BY synced_at DESC LIMIT $1
