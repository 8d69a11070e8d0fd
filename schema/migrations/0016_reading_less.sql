-- The delivery log finds a seldom type and what failed without reading the days that have none of it; the search reads what
-- it finds once, not once an integration.

ALTER TABLE kb.event_failures ADD COLUMN received_from TIMESTAMPTZ, ADD COLUMN received_to TIMESTAMPTZ;
COMMENT ON COLUMN kb.event_failures.received_from IS 'When the first of the deliveries that failed was received; NULL = not known, noted by an older program.';
COMMENT ON COLUMN kb.event_failures.received_to IS 'The same of the last.';

-- Only of days that are over: journaling pays nothing, the housekeeper builds the index in one go, one day a call, newest
-- first. That holds up nobody but a delivery that is a day late. The day that is not over yet is read instead.
CREATE FUNCTION kb.journal_index_past() RETURNS TEXT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    today CONSTANT TEXT := to_char((now() - interval '1 hour') AT TIME ZONE 'UTC', 'YYYYMMDD');
    name TEXT;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('kb.journal')) THEN
        RETURN NULL; -- another housekeeper is at it
    END IF;
    SELECT c.relname INTO name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'kb.journal'::regclass AND c.relname ~ '^journal_[0-9]{8}$' AND substr(c.relname, 9) < today
      AND to_regclass('kb.' || c.relname || '_type_idx') IS NULL
    ORDER BY c.relname DESC LIMIT 1;
    IF name IS NOT NULL THEN
        EXECUTE format('CREATE INDEX %I ON kb.%I (type text_pattern_ops)', name || '_type_idx', name);
    END IF;
    RETURN name;
END
$$;
COMMENT ON FUNCTION kb.journal_index_past IS 'Makes the index of types of the newest daily partition that is over and has none; returns its name, NULL where none is left.';
REVOKE ALL ON FUNCTION kb.journal_index_past() FROM PUBLIC;

-- As in 0012, but for two things. Whose objects are seen is asked once: `IN` alone is made a join, which read all that
-- matches once for each integration; beside an OR it stays a condition. And a phrase in quotes is as it stands there.
CREATE OR REPLACE FUNCTION kb.search_objects(wanted TEXT, types TEXT[], of_integration UUID, most INT)
RETURNS TABLE (id UUID, integration_id UUID, type TEXT, external_type TEXT, external_id TEXT, external_url TEXT,
    title TEXT, excerpt TEXT, status TEXT, labels TEXT[], external_updated_at TIMESTAMPTZ, synced_at TIMESTAMPTZ,
    provisional BOOLEAN, rank REAL)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH words AS (
        SELECT CASE WHEN q.text LIKE '%''' AND rtrim(wanted) NOT LIKE '%"' THEN (q.text || ':*')::tsquery ELSE q.text::tsquery END AS query
        FROM (SELECT websearch_to_tsquery('simple', wanted)::text AS text) q
    ), seen AS (
        SELECT i.id FROM kb.integrations i WHERE kb.sees(i.org_id, i.project_id) AND (of_integration IS NULL OR i.id = of_integration)
    ), hits AS (
        SELECT o.id, o.synced_at, ts_rank_cd(o.search, w.query) AS rank
        FROM words w JOIN kb.objects o ON o.search @@ w.query
        WHERE o.deleted_at IS NULL
          AND ((SELECT kb.sees_all() AND of_integration IS NULL) OR o.integration_id IN (SELECT s.id FROM seen s))
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
COMMENT ON FUNCTION kb.search_objects IS 'The best matches in the knowledge base of the tenant; the last word may be a beginning, unless it ends a phrase. Of more than 2,000 matches, the best of 2,000. Matches in the excerpt stand between the characters 2 and 3.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'kb_journal') THEN
        GRANT EXECUTE ON FUNCTION kb.journal_index_past() TO kb_journal;
    END IF;
END
$$;
