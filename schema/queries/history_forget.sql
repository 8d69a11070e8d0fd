-- Forget jobs, gaps and health history that ended or were found more than $1 days ago, and answers kept for a day.
WITH jobs AS (DELETE FROM kb.jobs WHERE finished_at < now() - make_interval(days => $1)),
    gaps AS (DELETE FROM kb.missed_changes WHERE found_at < now() - make_interval(days => $1)),
    answers AS (DELETE FROM kb.idempotency_keys WHERE created_at < now() - interval '1 day')
DELETE FROM kb.webhook_health WHERE at < now() - make_interval(days => $1)
