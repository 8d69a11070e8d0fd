-- The build of an integration's shadow: the one that is under way, or a new one. No row: there is no such integration.
INSERT INTO kb_shadow.builds AS b (integration_id) SELECT id FROM kb.integrations WHERE id = $1
ON CONFLICT (integration_id) DO UPDATE SET checkpoint = b.checkpoint
RETURNING *
