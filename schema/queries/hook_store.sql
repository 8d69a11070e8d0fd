-- What a look at a hook found, under its lease $2; and what is wanted of it from now on ($10, $11, $13, if not NULL).
-- Where the look could not tell ($9) whether there is one, it stays the one that was.
WITH stored AS (
    UPDATE kb.webhooks w SET
        webhook_id = CASE WHEN $3::text IS NULL AND $9::text IS NOT NULL THEN w.webhook_id ELSE $3 END,
        endpoint = $4, hears = $5::text[], owner = $6, status = $7, fail_count = $8, problem = $9,
        wanted = coalesce($10, w.wanted),
        events = coalesce($11::text[], w.events), chosen = w.chosen OR $11 IS NOT NULL,
        address = nullif(coalesce($13, w.address), ''),
        checked_at = clock_timestamp(),
        healthy_at = CASE WHEN $7 = 'active' AND $9 IS NULL THEN clock_timestamp() ELSE w.healthy_at END,
        lease = NULL, lease_until = '-infinity', due_at = clock_timestamp() + $12::interval
    FROM kb.webhooks old
    WHERE w.integration_id = $1 AND w.lease = $2 AND old.integration_id = w.integration_id
    RETURNING w.*, (old.webhook_id, old.status, old.fail_count, old.problem)
        IS DISTINCT FROM (w.webhook_id, w.status, w.fail_count, w.problem) AS changed
), history AS (
    INSERT INTO kb.webhook_health (integration_id, webhook_id, status, fail_count, problem)
    SELECT integration_id, webhook_id, status, fail_count, problem FROM stored WHERE changed
)
SELECT * FROM stored
