-- The job as which the finished shadow $1 is promoted, asked for by $2, with the sums $3 if they are new. It is written
-- along with what it changed, so nobody ever runs it. No row: the shadow was discarded; while there is one, it cannot be.
INSERT INTO kb.jobs AS j (id, integration_id, kind, status, reason, requested_by, phase, breakdown, starts, started_at, finished_at)
SELECT b.id, b.integration_id, 'rebuild', 'completed', 'a shadow was promoted', $2, 'promoting', coalesce($3::jsonb, '{}'),
    1, clock_timestamp(), clock_timestamp()
FROM (SELECT * FROM kb_shadow.builds WHERE id = $1 AND finished_at IS NOT NULL FOR SHARE) b
ON CONFLICT (id) DO UPDATE SET
    breakdown = coalesce($3::jsonb, j.breakdown), finished_at = clock_timestamp(), updated_at = clock_timestamp()
RETURNING *
