-- The gallery: its role sees the rows of one tenant at a time, answers each POST once, and leaves a trail.

-- ---------------------------------------------------------------------------------------------------------------
-- In whose name a transaction is (queries/tenant.sql). Unset, nobody: no row is seen.

CREATE FUNCTION kb.sees(org TEXT, project UUID) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('kb.org', true) IN ('*', '=' || org), false)
       AND coalesce(current_setting('kb.project', true) IN ('*', '=' || project), false)
$$;
COMMENT ON FUNCTION kb.sees IS 'Whether the tenant of this transaction owns what belongs to this organisation and project.';

CREATE FUNCTION kb.sees_all() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('kb.org', true) = '*' AND current_setting('kb.project', true) = '*', false)
$$;
COMMENT ON FUNCTION kb.sees_all IS 'Whether this transaction is in the name of all tenants.';

-- ---------------------------------------------------------------------------------------------------------------
-- Who did what from where. Its own organisation, so that the line outlives the integration.

ALTER TABLE kb.audit_log ADD COLUMN org_id TEXT, ADD COLUMN project_id UUID, ADD COLUMN origin TEXT;
CREATE INDEX audit_log_org_idx ON kb.audit_log (org_id, id DESC);
COMMENT ON COLUMN kb.audit_log.origin IS 'The network address it came from, where it came over the network.';

CREATE TABLE kb.idempotency_keys (
    key         BYTEA PRIMARY KEY,
    fingerprint BYTEA NOT NULL,
    status      INT,
    headers     JSONB,
    body        BYTEA,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX idempotency_keys_created_at_idx ON kb.idempotency_keys (created_at);
COMMENT ON TABLE kb.idempotency_keys IS 'Answers to requests that carried an Idempotency-Key, for a day.';
COMMENT ON COLUMN kb.idempotency_keys.key IS 'SHA-256 of who asked, and the key.';
COMMENT ON COLUMN kb.idempotency_keys.fingerprint IS 'SHA-256 of the request: the same key with another request is a mistake.';
COMMENT ON COLUMN kb.idempotency_keys.status IS 'NULL = still being answered.';

CREATE INDEX integrations_created_at_idx ON kb.integrations (created_at DESC, id);
CREATE INDEX jobs_created_at_idx ON kb.jobs (created_at DESC, id);
-- "What did this event change?"
CREATE INDEX objects_caused_by_idx ON kb.objects (caused_by);
CREATE INDEX journal_received_at_idx ON kb.journal (received_at DESC, event_id DESC);

-- ---------------------------------------------------------------------------------------------------------------
-- Search. The index of a text search is not used below row-level security (`@@` is not leakproof), so the function
-- runs as its owner and keeps tenants apart by itself.

CREATE FUNCTION kb.search_objects(wanted TEXT, types TEXT[], of_integration UUID, most INT)
RETURNS TABLE (id UUID, integration_id UUID, type TEXT, external_type TEXT, external_id TEXT, external_url TEXT,
    title TEXT, excerpt TEXT, status TEXT, labels TEXT[], external_updated_at TIMESTAMPTZ, synced_at TIMESTAMPTZ,
    provisional BOOLEAN, rank REAL)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH words AS (
        SELECT CASE WHEN q.text LIKE '%''' THEN (q.text || ':*')::tsquery ELSE q.text::tsquery END AS query
        FROM (SELECT websearch_to_tsquery('simple', wanted)::text AS text) q
    ), seen AS (
        SELECT i.id FROM kb.integrations i WHERE kb.sees(i.org_id, i.project_id) AND (of_integration IS NULL OR i.id = of_integration)
    ), hits AS (
        SELECT o.id, o.synced_at, ts_rank_cd(o.search, w.query) AS rank
        FROM words w JOIN kb.objects o ON o.search @@ w.query
        WHERE o.deleted_at IS NULL AND o.integration_id IN (SELECT s.id FROM seen s)
          AND (types IS NULL OR o.external_type = ANY(types))
        LIMIT 2000
    ), best AS (
        SELECT h.id, h.rank FROM hits h ORDER BY h.rank DESC, h.synced_at DESC, h.id LIMIT most
    )
    SELECT o.id, o.integration_id, o.type, o.external_type, o.external_id, o.external_url, o.title,
        ts_headline('simple', left(coalesce(o.body, ''), 20000), w.query,
            'StartSel=' || chr(2) || ', StopSel=' || chr(3) || ', MaxWords=28, MinWords=12, MaxFragments=2, FragmentDelimiter=" … "'),
        o.status, o.labels, o.external_updated_at, o.synced_at, o.provisional IS NOT NULL, b.rank
    FROM best b JOIN kb.objects o ON o.id = b.id CROSS JOIN words w
    ORDER BY b.rank DESC, o.synced_at DESC, o.id
$$;
COMMENT ON FUNCTION kb.search_objects IS 'The best matches in the knowledge base of the tenant; the last word may be a beginning. Of more than 2,000 matches, the best of 2,000. Matches in the excerpt stand between the characters 2 and 3.';
REVOKE ALL ON FUNCTION kb.search_objects(TEXT, TEXT[], UUID, INT) FROM PUBLIC;

-- ---------------------------------------------------------------------------------------------------------------
-- Who may.

DO $$
DECLARE
    programs CONSTANT TEXT := 'kb_ingest, kb_knowledge, kb_sync_state, kb_journal, kb_imports, kb_upkeep, kb_admin';
    name TEXT;
BEGIN
    IF EXISTS (SELECT FROM unnest(string_to_array(programs || ', kb_gallery', ', ')) AS r (role)
               WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r.role)) THEN
        RETURN; -- no roles, no rows apart: the program's own conditions are the only ones
    END IF;

    -- Only the gallery is kept to a tenant. `USING (true)` for the programs costs their plans nothing.
    FOREACH name IN ARRAY ARRAY['integrations', 'clickup_sync_state', 'webhook_secrets', 'jobs', 'job_failures',
        'missed_changes', 'webhooks', 'webhook_health', 'event_failures', 'objects', 'people', 'journal', 'audit_log'] LOOP
        EXECUTE format('ALTER TABLE kb.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY programs ON kb.%I TO %s USING (true)', name, programs);
        EXECUTE format('CREATE POLICY others ON kb.%I USING (current_user <> ''kb_gallery'')', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['integrations', 'audit_log'] LOOP
        EXECUTE format('CREATE POLICY tenant ON kb.%I TO kb_gallery USING (kb.sees(org_id, project_id))', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['clickup_sync_state', 'webhook_secrets', 'jobs', 'missed_changes', 'webhooks',
        'webhook_health', 'event_failures', 'objects', 'people', 'journal'] LOOP
        EXECUTE format('CREATE POLICY tenant ON kb.%I TO kb_gallery
            USING ((SELECT kb.sees_all()) OR integration_id IN (SELECT id FROM kb.integrations))', name);
    END LOOP;
    CREATE POLICY tenant ON kb.job_failures TO kb_gallery USING (job_id IN (SELECT id FROM kb.jobs));
    ALTER VIEW kb.deliveries SET (security_invoker = true); -- a view otherwise sees what its owner sees
    GRANT SELECT ON kb.deliveries TO kb_gallery;
    GRANT SELECT ON kb.event_failures TO kb_admin;

    GRANT EXECUTE ON FUNCTION kb.search_objects(TEXT, TEXT[], UUID, INT) TO kb_gallery, kb_admin;
    GRANT SELECT, INSERT, DELETE ON kb.integrations TO kb_gallery;
    GRANT UPDATE (display_name, description, enabled, settings_encrypted, logo_url, updated_at) ON kb.integrations TO kb_gallery;
    GRANT SELECT, INSERT ON kb.clickup_sync_state TO kb_gallery;
    GRANT INSERT ON kb.webhook_secrets, kb.outbox TO kb_gallery;
    GRANT SELECT, INSERT, UPDATE ON kb.jobs TO kb_gallery;
    GRANT SELECT ON kb.job_failures, kb.missed_changes, kb.webhooks, kb.webhook_health, kb.event_failures, kb.objects,
        kb.journal TO kb_gallery;
    GRANT SELECT, DELETE ON kb.inbox TO kb_gallery;
    GRANT SELECT, INSERT ON kb.audit_log TO kb_gallery;
    GRANT SELECT, INSERT, UPDATE, DELETE ON kb.idempotency_keys, kb.api_budgets, kb.api_callers TO kb_gallery;
    GRANT SELECT, DELETE ON kb.idempotency_keys TO kb_journal;
END
$$;
