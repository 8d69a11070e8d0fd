-- Forget the shadow of an integration; with $2 only a finished one.
DELETE FROM kb_shadow.builds WHERE integration_id = $1 AND (finished_at IS NOT NULL OR NOT $2)
