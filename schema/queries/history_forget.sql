-- Forget jobs, gaps and health history that ended or were found more than $1 days ago.
WITH jobs AS (DELETE FROM kb.jobs WHERE finished_at < now() - make_interval(days => $1)),
    gaps AS (DELETE FROM kb.missed_changes WHERE found_at < now() - make_interval(days => $1))
DELETE FROM kb.webhook_health WHERE at < now() - make_interval(days => $1)
