-- Where a row came from, and what became of each event.

CREATE TABLE kb.event_failures (
    event_id       UUID PRIMARY KEY,
    integration_id UUID NOT NULL REFERENCES kb.integrations ON DELETE CASCADE,
    reason         TEXT NOT NULL,
    tries          INT NOT NULL DEFAULT 1,
    first_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_at        TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX event_failures_last_at_idx ON kb.event_failures (last_at);
COMMENT ON TABLE kb.event_failures IS 'Events that could not be applied so far, with the last reason. Applying one takes its row away.';

-- "What was said about this object?" An index of a partitioned table reaches its partitions, the future ones too.
CREATE INDEX journal_subject_idx ON kb.journal (subject, received_at DESC);

CREATE VIEW kb.deliveries AS
SELECT j.received_at, j.event_id, j.integration_id, j.type, j.subject, j.traceparent, j.headers, j.body, j.journaled_at,
    i.claimed_at AS applied_at,
    CASE WHEN i.event_id IS NOT NULL THEN 'applied' WHEN f.event_id IS NOT NULL THEN 'failed' ELSE 'waiting' END
        AS outcome,
    CASE WHEN i.event_id IS NULL THEN f.reason END AS reason,
    CASE WHEN i.event_id IS NULL THEN f.tries END AS tries
FROM kb.journal j
LEFT JOIN kb.inbox i ON i.consumer = 'knowledge' AND i.event_id = j.event_id
LEFT JOIN kb.event_failures f ON f.event_id = j.event_id;
COMMENT ON VIEW kb.deliveries IS 'The journal, each delivery with what became of its event: applied, failed so far, or waiting.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM unnest(ARRAY['kb_knowledge', 'kb_journal', 'kb_admin']) AS r (name)
               WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r.name)) THEN
        RETURN;
    END IF;
    GRANT SELECT, INSERT, UPDATE, DELETE ON kb.event_failures TO kb_knowledge;
    GRANT SELECT, DELETE ON kb.event_failures TO kb_journal;
    GRANT SELECT ON kb.deliveries TO kb_admin;
    -- A replay takes claims back, so that the event is applied anew.
    GRANT SELECT, DELETE ON kb.inbox TO kb_admin;
END
$$;

COMMENT ON COLUMN kb.objects.listed_at IS 'When a listing of its container last showed it as it is; NULL = it was only ever read by its id.';
