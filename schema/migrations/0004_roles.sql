-- One role for each program, with the least it needs. They cannot log in: an operator grants them to login
-- users, and a program that connects as a more powerful user steps down to its own (SET ROLE).
-- Where the migrating user may not create roles, the program runs as whatever it connected as.

DO $$
DECLARE
    role_name TEXT;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['kb_ingest', 'kb_knowledge', 'kb_sync_state', 'kb_journal', 'kb_admin'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role_name);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            IF current_setting('server_version_num')::int >= 160000 THEN -- making a role no longer implies using it
                EXECUTE format('GRANT %I TO CURRENT_USER WITH SET TRUE', role_name);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- roles belong to the server: another database made it just now
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'this user may not create roles: programs will run without their own; see the runbook';
                RETURN;
        END;
    END LOOP;

    REVOKE ALL ON FUNCTION kb.journal_keep_ahead(INT), kb.journal_forget(INT) FROM PUBLIC;
    GRANT USAGE ON SCHEMA kb TO kb_ingest, kb_knowledge, kb_sync_state, kb_journal, kb_admin;

    -- The embedded broker and the spool: a program in one process with the others carries messages for all.
    GRANT SELECT, INSERT, UPDATE, DELETE ON kb.queues, kb.queue_bindings, kb.queue_messages
        TO kb_ingest, kb_knowledge, kb_sync_state, kb_journal, kb_admin;

    -- Ingest verifies signatures: sealed webhook secrets, and of an integration only what routing needs.
    GRANT SELECT (id, name, enabled) ON kb.integrations TO kb_ingest;
    GRANT SELECT ON kb.webhook_secrets TO kb_ingest;

    -- Knowledge reads the source with the integration's settings, writes objects and what it applied.
    GRANT SELECT ON kb.integrations TO kb_knowledge;
    GRANT SELECT, INSERT, DELETE ON kb.inbox TO kb_knowledge, kb_sync_state;
    GRANT SELECT, INSERT, UPDATE ON kb.objects, kb.people TO kb_knowledge;
    GRANT SELECT, INSERT, DELETE ON kb.relationships TO kb_knowledge;
    GRANT SELECT, INSERT, DELETE ON kb.outbox TO kb_knowledge;
    GRANT SELECT (integration_id, consecutive_failures),
          UPDATE (last_error, last_error_at, consecutive_failures) ON kb.clickup_sync_state TO kb_knowledge;

    -- Sync-state folds applied changes into one row an integration.
    GRANT SELECT, UPDATE ON kb.clickup_sync_state TO kb_sync_state;

    -- The journal appends and reads back; partitions come and go through its two functions only.
    GRANT SELECT, INSERT ON kb.journal TO kb_journal;
    GRANT EXECUTE ON FUNCTION kb.journal_keep_ahead(INT), kb.journal_forget(INT) TO kb_journal;
    GRANT SELECT, DELETE ON kb.inbox TO kb_journal;

    -- Administration: the command line and the gallery.
    GRANT SELECT, INSERT, UPDATE, DELETE ON kb.integrations, kb.webhook_secrets, kb.clickup_sync_state TO kb_admin;
    GRANT SELECT ON kb.objects, kb.relationships, kb.people, kb.journal, kb.outbox, kb.migrations TO kb_admin;
END
$$;
