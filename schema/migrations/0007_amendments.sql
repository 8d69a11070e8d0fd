-- What deliveries state is written at once, and marked until the source was read.

ALTER TABLE kb.objects
    ADD COLUMN provisional JSONB,
    ADD COLUMN amended_to  TIMESTAMPTZ,
    ADD COLUMN amended_at  TIMESTAMPTZ;
COMMENT ON COLUMN kb.objects.provisional IS 'Attributes that a delivery stated and no look has confirmed yet, each with when the source changed it; NULL = all is as read.';
COMMENT ON COLUMN kb.objects.amended_to IS 'The latest of these changes.';
COMMENT ON COLUMN kb.objects.amended_at IS 'When a delivery last amended this row (database time).';
COMMENT ON COLUMN kb.objects.received_at IS 'When that event was received; kb.shown_at minus this is the freshness.';

CREATE OR REPLACE FUNCTION kb.not_older(stored kb.objects, seen kb.objects) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE
        -- a look that began before we were told, and does not have it, would take back what is known
        WHEN stored.provisional IS NOT NULL AND seen.observed_at < stored.amended_at
            AND coalesce(seen.external_updated_at < stored.amended_to, true) THEN false
        WHEN seen.external_updated_at IS NOT DISTINCT FROM stored.external_updated_at
            THEN seen.observed_at >= stored.observed_at
        WHEN seen.external_updated_at IS NULL THEN seen.observed_at >= stored.observed_at
        ELSE stored.external_updated_at IS NULL OR seen.external_updated_at > stored.external_updated_at END
$$;

CREATE FUNCTION kb.shown_at(o kb.objects) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN o.amended_at BETWEEN o.received_at AND o.synced_at THEN o.amended_at ELSE o.synced_at END
$$;
COMMENT ON FUNCTION kb.shown_at IS 'When the row first showed its last change: stated by a delivery, or read.';
