-- The audit log, newest first, before the line $1; of the integration $2; most $3.
SELECT id, at, actor, action, integration_id, outcome, origin, details FROM kb.audit_log
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::uuid IS NULL OR integration_id = $2)
ORDER BY id DESC LIMIT $3
