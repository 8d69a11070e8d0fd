-- The gallery's role once more, with less: of API tokens what recognising one takes, of claims those of its tenant.

DO $$
DECLARE
    programs CONSTANT TEXT := 'kb_ingest, kb_knowledge, kb_sync_state, kb_journal, kb_imports, kb_upkeep, kb_admin';
BEGIN
    IF EXISTS (SELECT FROM unnest(string_to_array(programs || ', kb_gallery', ', ')) AS r (role)
               WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r.role)) THEN
        RETURN; -- as in 0012: no roles, no rows apart
    END IF;

    REVOKE SELECT ON kb.api_tokens FROM kb_gallery;
    GRANT SELECT (id, name, hash, scopes, org_id, project_id, expires_at, revoked_at, last_used_at) ON kb.api_tokens TO kb_gallery;

    -- A claim that is taken back is applied anew: that is for whoever sees the delivery. When an event was applied is seen
    -- by all, since a look at the journal for each row would make listing deliveries slow; an event's id says nothing.
    ALTER TABLE kb.inbox ENABLE ROW LEVEL SECURITY;
    EXECUTE format('CREATE POLICY programs ON kb.inbox TO %s USING (true)', programs);
    CREATE POLICY others ON kb.inbox USING (current_user <> 'kb_gallery');
    CREATE POLICY seen ON kb.inbox FOR SELECT TO kb_gallery USING (true);
    CREATE POLICY tenant ON kb.inbox FOR DELETE TO kb_gallery USING (consumer = 'knowledge'
        AND EXISTS (SELECT FROM kb.journal j WHERE j.event_id = inbox.event_id));
END
$$;
