-- What rests: the objects of the knowledge base and how they relate.

CREATE TABLE kb.objects (
    id                   UUID PRIMARY KEY,
    org_id               TEXT NOT NULL,
    project_id           UUID NOT NULL,
    integration_id       UUID NOT NULL REFERENCES kb.integrations ON DELETE CASCADE,
    type                 TEXT NOT NULL,
    external_source      TEXT NOT NULL,
    external_type        TEXT NOT NULL CHECK (external_type IN
        ('workspace', 'space', 'folder', 'list', 'task', 'comment', 'doc', 'goal', 'key_result')),
    external_id          TEXT NOT NULL,
    external_url         TEXT,
    external_parent_type TEXT,
    external_parent_id   TEXT,
    external_updated_at  TIMESTAMPTZ,
    title                TEXT,
    body                 TEXT,
    status               TEXT,
    labels               TEXT[] NOT NULL DEFAULT '{}',
    properties           JSONB NOT NULL DEFAULT '{}',
    content_hash         BYTEA,
    version              BIGINT NOT NULL DEFAULT 1,
    action               TEXT NOT NULL CHECK (action IN ('created', 'updated', 'deleted')),
    observed_at          TIMESTAMPTZ NOT NULL,
    caused_by            UUID,
    received_at          TIMESTAMPTZ,
    synced_at            TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at           TIMESTAMPTZ,
    deleted_because      TEXT CHECK (deleted_because IN ('deleted', 'gone', 'cascade')),
    created_at           TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at           TIMESTAMPTZ NOT NULL DEFAULT now(),
    search               TSVECTOR GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', left(coalesce(title, ''), 10000)), 'A') ||
        setweight(to_tsvector('simple', left(coalesce(body, ''), 100000)), 'B')) STORED,
    CONSTRAINT objects_external_key UNIQUE (integration_id, external_type, external_id),
    CONSTRAINT objects_tombstone_has_reason CHECK ((deleted_at IS NULL) = (deleted_because IS NULL))
);
CREATE INDEX objects_parent_idx ON kb.objects (integration_id, external_parent_type, external_parent_id);
CREATE INDEX objects_project_type_idx ON kb.objects (project_id, type) WHERE deleted_at IS NULL;
CREATE INDEX objects_synced_at_idx ON kb.objects (synced_at);
CREATE INDEX objects_search_idx ON kb.objects USING gin (search);

COMMENT ON TABLE kb.objects IS 'The knowledge base: one row for each thing of the source, tombstones included.';
COMMENT ON COLUMN kb.objects.id IS 'UUIDv5 of integration, external_type and external_id: known before the row exists.';
COMMENT ON COLUMN kb.objects.type IS 'Kind in our words: organization, project, collection, task, comment, document, goal, key_result.';
COMMENT ON COLUMN kb.objects.external_type IS 'Kind in the source''s words.';
COMMENT ON COLUMN kb.objects.external_updated_at IS 'When the source last changed it (the version fence); NULL where the source does not say.';
COMMENT ON COLUMN kb.objects.content_hash IS 'Of everything the source said: an equal hash is no change. NULL = nothing read yet, only its deletion heard.';
COMMENT ON COLUMN kb.objects.version IS 'Counts the changes applied to this row, from 1.';
COMMENT ON COLUMN kb.objects.action IS 'What the last applied change was, as subscribers see it.';
COMMENT ON COLUMN kb.objects.observed_at IS 'Database time just before the source was asked: of two equal versions the later look wins.';
COMMENT ON COLUMN kb.objects.caused_by IS 'Event that led to the last change.';
COMMENT ON COLUMN kb.objects.received_at IS 'When that event was received; synced_at minus this is the freshness.';
COMMENT ON COLUMN kb.objects.synced_at IS 'When the last change was applied.';
COMMENT ON COLUMN kb.objects.deleted_at IS 'Tombstone: when we learnt that it is gone.';
COMMENT ON COLUMN kb.objects.deleted_because IS 'deleted = the source said so; gone = it cannot be read any more; cascade = its container is deleted.';
COMMENT ON COLUMN kb.objects.search IS 'Full text over title and body.';

-- dst_id has no foreign key: an edge may be known before the thing it points to has been read.
CREATE TABLE kb.relationships (
    src_id      UUID NOT NULL,
    dst_id      UUID NOT NULL,
    type        TEXT NOT NULL,
    asserted_by UUID NOT NULL REFERENCES kb.objects ON DELETE CASCADE,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (src_id, type, dst_id, asserted_by)
);
CREATE INDEX relationships_dst_idx ON kb.relationships (dst_id, type);
CREATE INDEX relationships_asserted_by_idx ON kb.relationships (asserted_by);
COMMENT ON TABLE kb.relationships IS 'Directed edges: parent_of, in_list, depends_on, linked_to, assigned_to, comment_on.';
COMMENT ON COLUMN kb.relationships.asserted_by IS 'The object whose reading states the edge; reading it again replaces its edges.';

CREATE TABLE kb.people (
    id             UUID PRIMARY KEY,
    integration_id UUID NOT NULL REFERENCES kb.integrations ON DELETE CASCADE,
    external_id    TEXT NOT NULL,
    name           TEXT,
    email          TEXT,
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT people_external_key UNIQUE (integration_id, external_id)
);
COMMENT ON TABLE kb.people IS 'Users of the source: what assigned_to points to. Not objects, because nothing announces their changes.';

-- The three questions of schema/queries/object_upsert.sql, asked of a stored row and of what was just read.
CREATE FUNCTION kb.not_older(stored kb.objects, seen kb.objects) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN seen.external_updated_at IS NOT DISTINCT FROM stored.external_updated_at
            THEN seen.observed_at >= stored.observed_at
        WHEN seen.external_updated_at IS NULL THEN seen.observed_at >= stored.observed_at
        ELSE stored.external_updated_at IS NULL OR seen.external_updated_at > stored.external_updated_at END
$$;
COMMENT ON FUNCTION kb.not_older IS 'Whether what was read may overwrite what is stored.';

CREATE FUNCTION kb.lives(stored kb.objects, seen kb.objects) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE stored.deleted_because
        WHEN 'deleted' THEN seen.observed_at > stored.observed_at
            AND coalesce(seen.external_updated_at > stored.deleted_at, false)
        WHEN 'gone' THEN seen.observed_at > stored.observed_at
        WHEN 'cascade' THEN seen.observed_at > stored.observed_at AND NOT EXISTS (
            SELECT FROM kb.objects p
            WHERE p.integration_id = seen.integration_id AND p.external_type = seen.external_parent_type
              AND p.external_id = seen.external_parent_id AND p.deleted_at IS NOT NULL)
        ELSE true END
$$;
COMMENT ON FUNCTION kb.lives IS 'Whether the object is alive after what was read: always, unless a tombstone holds.';

CREATE FUNCTION kb.is_news(stored kb.objects, seen kb.objects) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT stored.content_hash IS DISTINCT FROM seen.content_hash
        OR (stored.deleted_at IS NOT NULL AND kb.lives(stored, seen))
$$;
COMMENT ON FUNCTION kb.is_news IS 'Whether anything would change: content, or coming back to life.';
