-- The last hour by minute, of the integration $1 or of all: changes in the knowledge base, and how fresh they were.
-- kb.shown_at written out: a function of the whole row would read bodies and search vectors.
SELECT m.minute, coalesce(c.changes, 0) AS changes, c.p50, c.p99
FROM generate_series(date_trunc('minute', now()) - interval '59 minutes', date_trunc('minute', now()), '1 minute') AS m (minute)
LEFT JOIN (
    SELECT s.minute, count(*) AS changes,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY s.seconds) FILTER (WHERE s.seconds IS NOT NULL) AS p50,
        percentile_cont(0.99) WITHIN GROUP (ORDER BY s.seconds) FILTER (WHERE s.seconds IS NOT NULL) AS p99
    FROM (
        SELECT date_trunc('minute', o.synced_at) AS minute,
            extract(epoch FROM CASE WHEN o.amended_at BETWEEN o.received_at AND o.synced_at THEN o.amended_at
                                    ELSE o.synced_at END - o.received_at) AS seconds
        FROM kb.objects o
        WHERE o.synced_at >= date_trunc('minute', now()) - interval '59 minutes'
          AND ($1::uuid IS NULL OR o.integration_id = $1)
    ) s
    GROUP BY 1
) c USING (minute)
ORDER BY 1
