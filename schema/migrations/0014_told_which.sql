-- Whoever listens is told which integration changed, once a transaction each, and nothing where no row was touched.
-- An older ingest passes over what is said and reads everything, as before.

CREATE OR REPLACE FUNCTION kb.notify_integrations() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids UUID[];
BEGIN
    IF TG_TABLE_NAME = 'integrations' THEN
        ids := ARRAY[OLD.id, NEW.id];
    ELSE
        ids := ARRAY[OLD.integration_id, NEW.integration_id];
    END IF;
    PERFORM pg_notify('kb_integrations', id::text) FROM unnest(ids) AS id WHERE id IS NOT NULL;
    RETURN NULL;
END
$$;
-- Settings, names for people and the like are nothing to ingest.
CREATE OR REPLACE TRIGGER integrations_notify AFTER INSERT OR DELETE OR UPDATE OF id, name, enabled ON kb.integrations
    FOR EACH ROW EXECUTE FUNCTION kb.notify_integrations();
CREATE OR REPLACE TRIGGER webhook_secrets_notify AFTER INSERT OR UPDATE OR DELETE ON kb.webhook_secrets
    FOR EACH ROW EXECUTE FUNCTION kb.notify_integrations();
