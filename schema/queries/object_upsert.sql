-- Write what was read, where it is news. $1: array of records.
--
-- The fence: a newer version wins; of two equal ones, or of kinds without a version, the later look wins.
-- A tombstone is a register of its own: content below it still follows the fence, but it lifts only
--   * 'deleted': for a version younger than the deletion, seen by a later look (a late update never undoes it), or
--                when a listing well after the deletion shows it;
--   * 'gone':    when a later look finds it again;
--   * 'cascade': when a later look finds it below a container that lives.
-- An equal content_hash is no change: nothing is counted, nothing is returned. Only observed_at moves on, for
-- kinds without a version, so that an older look still in flight cannot bring old content back; and what deliveries had
-- amended becomes what was read.
INSERT INTO kb.objects AS o (
    id, org_id, project_id, integration_id, type, external_source, external_type, external_id, external_url,
    external_parent_type, external_parent_id, external_updated_at, title, body, status, labels, properties,
    content_hash, version, action, observed_at, listed_at, caused_by, received_at, synced_at)
SELECT
    id, org_id, project_id, integration_id, type, external_source, external_type, external_id, external_url,
    external_parent_type, external_parent_id, external_updated_at, title, body, status, labels, properties,
    decode(content_hash, 'hex'), 1, 'created', observed_at, listed_at, caused_by, received_at, statement_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS r (
    id uuid, org_id text, project_id uuid, integration_id uuid, type text, external_source text,
    external_type text, external_id text, external_url text, external_parent_type text,
    external_parent_id text, external_updated_at timestamptz, title text, body text, status text, labels text[],
    properties jsonb, content_hash text, observed_at timestamptz, listed_at timestamptz, caused_by uuid,
    received_at timestamptz)
ORDER BY id
ON CONFLICT (integration_id, external_type, external_id) DO UPDATE SET
    type                 = EXCLUDED.type,
    external_url         = EXCLUDED.external_url,
    external_parent_type = EXCLUDED.external_parent_type,
    external_parent_id   = EXCLUDED.external_parent_id,
    external_updated_at  = EXCLUDED.external_updated_at,
    title                = EXCLUDED.title,
    body                 = EXCLUDED.body,
    status               = EXCLUDED.status,
    labels               = EXCLUDED.labels,
    properties           = EXCLUDED.properties,
    content_hash         = EXCLUDED.content_hash,
    observed_at          = greatest(o.observed_at, EXCLUDED.observed_at),
    provisional          = NULL,
    amended_to           = NULL,
    listed_at            = greatest(o.listed_at, EXCLUDED.listed_at),
    deleted_at           = CASE WHEN kb.lives(o, EXCLUDED) THEN NULL ELSE o.deleted_at END,
    deleted_because      = CASE WHEN kb.lives(o, EXCLUDED) THEN NULL ELSE o.deleted_because END,
    action               = CASE WHEN NOT kb.is_news(o, EXCLUDED) THEN o.action
                                WHEN NOT kb.lives(o, EXCLUDED) THEN 'deleted'
                                WHEN o.deleted_at IS NOT NULL THEN 'created'
                                ELSE 'updated' END,
    version              = o.version + kb.is_news(o, EXCLUDED)::int,
    caused_by            = CASE WHEN kb.is_news(o, EXCLUDED) THEN EXCLUDED.caused_by ELSE o.caused_by END,
    received_at          = CASE WHEN kb.is_news(o, EXCLUDED) THEN EXCLUDED.received_at ELSE o.received_at END,
    synced_at            = CASE WHEN kb.is_news(o, EXCLUDED) THEN statement_timestamp() ELSE o.synced_at END,
    updated_at           = CASE WHEN kb.is_news(o, EXCLUDED) THEN statement_timestamp() ELSE o.updated_at END
WHERE kb.not_older(o, EXCLUDED)
  AND (kb.is_news(o, EXCLUDED) OR o.provisional IS NOT NULL
       OR (EXCLUDED.external_updated_at IS NULL AND EXCLUDED.observed_at > o.observed_at))
RETURNING id, org_id, project_id, integration_id, type, external_source, external_type, external_id, external_url,
    external_updated_at, title, status, version, action, deleted_at, caused_by, received_at, synced_at,
    synced_at = statement_timestamp() AS news
