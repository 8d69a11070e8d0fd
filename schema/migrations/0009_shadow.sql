-- A shadow of an integration's objects: built anew beside the knowledge base, compared with it, then promoted or dropped.

CREATE SCHEMA kb_shadow;

CREATE TABLE kb_shadow.builds (
    integration_id UUID PRIMARY KEY REFERENCES kb.integrations ON DELETE CASCADE,
    id             UUID NOT NULL DEFAULT gen_random_uuid(),
    checkpoint     JSONB,
    covers         TEXT[],
    began_at       TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    finished_at    TIMESTAMPTZ
);
COMMENT ON TABLE kb_shadow.builds IS 'One for each integration that has a shadow.';
COMMENT ON COLUMN kb_shadow.builds.id IS 'Of the job as which it is promoted, so that every row can say where it came from.';
COMMENT ON COLUMN kb_shadow.builds.checkpoint IS 'Where an interrupted walk over the source goes on.';
COMMENT ON COLUMN kb_shadow.builds.covers IS 'Types that the walk met whole; not NULL = the walk is over, single reads are left.';

CREATE TABLE kb_shadow.objects (
    id             UUID PRIMARY KEY,
    integration_id UUID NOT NULL REFERENCES kb_shadow.builds ON DELETE CASCADE,
    external_type  TEXT NOT NULL,
    external_id    TEXT NOT NULL,
    observed_at    TIMESTAMPTZ NOT NULL,
    record         TEXT,
    because        TEXT,
    CHECK ((record IS NULL) <> (because IS NULL))
);
CREATE INDEX shadow_objects_integration_idx ON kb_shadow.objects (integration_id, external_type, external_id);
COMMENT ON TABLE kb_shadow.objects IS 'What the source says, mapped anew: a record, or because what there is none.';
COMMENT ON COLUMN kb_shadow.objects.record IS 'JSON as written, not JSONB: numbers keep their digits, and the record its hash.';

ALTER TABLE kb.jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE kb.jobs ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('import', 'sync', 'sweep', 'rebuild'));
COMMENT ON COLUMN kb.jobs.kind IS 'import = everything; sync = what changed since the cursor; sweep = everything, and what is gone; rebuild = a shadow that was promoted: what --promote wrote has it as its cause.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'kb_imports') THEN
        -- whoever reads a whole source and writes what it finds may do so beside the knowledge base, too
        GRANT USAGE ON SCHEMA kb_shadow TO kb_imports;
        GRANT SELECT, INSERT, UPDATE, DELETE ON kb_shadow.builds, kb_shadow.objects TO kb_imports;
        GRANT SELECT ON kb.journal TO kb_imports;
    END IF;
END
$$;
