-- Whoever relays the outbox may ask how far it goes.
DO $$
DECLARE
    role_name TEXT;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['kb_knowledge', 'kb_imports', 'kb_upkeep'] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('GRANT SELECT ON SEQUENCE kb.outbox_id_seq TO %I', role_name);
        END IF;
    END LOOP;
END
$$;
