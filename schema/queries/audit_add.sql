-- Who did what to which integration, with what outcome.
INSERT INTO kb.audit_log (actor, action, integration_id, outcome, details) VALUES ($1, $2, $3, $4, $5::jsonb)
