-- The last hour by minute, of the integration $1 or of all: changes in the knowledge base, and how fresh they were.
SELECT m.minute, count(o.id) AS changes,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM kb.shown_at(o) - o.received_at))
        FILTER (WHERE o.received_at IS NOT NULL) AS p50,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM kb.shown_at(o) - o.received_at))
        FILTER (WHERE o.received_at IS NOT NULL) AS p99
FROM generate_series(date_trunc('minute', now()) - interval '59 minutes', date_trunc('minute', now()), '1 minute') AS m (minute)
LEFT JOIN kb.objects o ON o.synced_at >= m.minute AND o.synced_at < m.minute + interval '1 minute'
    AND ($1::uuid IS NULL OR o.integration_id = $1)
GROUP BY 1 ORDER BY 1
