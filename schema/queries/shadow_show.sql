-- The shadow of an integration, if there is one.
SELECT * FROM kb_shadow.builds WHERE integration_id = $1
