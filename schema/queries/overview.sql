-- The state of the whole installation in one row, for the live view.
SELECT
    (SELECT count(*) FROM kb.journal) AS accepted,
    (SELECT coalesce(sum(version), 0)::bigint FROM kb.objects) AS applied,
    (SELECT count(*) FROM kb.queue_messages WHERE queue LIKE '%.dead') AS dead,
    (SELECT count(*) FROM kb.queue_messages WHERE queue NOT LIKE '%.dead') AS waiting,
    f.p50, f.p99, f.seen
FROM (
    -- a change is in the row when a delivery stated it, else when it was read
    SELECT count(*) AS seen,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM kb.shown_at(o) - received_at)) AS p50,
        percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM kb.shown_at(o) - received_at)) AS p99
    FROM kb.objects o WHERE synced_at > now() - interval '30 seconds' AND received_at IS NOT NULL
) f
