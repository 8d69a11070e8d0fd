-- Who did what to which integration, with what outcome; $6 from where, $7 and $8 whose it was, if it is there no more.
INSERT INTO kb.audit_log (actor, action, integration_id, outcome, details, origin, org_id, project_id)
SELECT $1, $2, $3, $4, $5::jsonb, $6, coalesce(i.org_id, $7), coalesce(i.project_id, $8)
FROM (SELECT $3::uuid AS id) AS wanted LEFT JOIN kb.integrations i USING (id)
