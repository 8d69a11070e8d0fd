-- The integrations of the tenant.
SELECT id FROM kb.integrations
