-- What flows, where PostgreSQL carries it: inbox, outbox, queues (the embedded broker and the spool), journal.

CREATE TABLE kb.inbox (
    consumer   TEXT NOT NULL,
    event_id   UUID NOT NULL,
    claimed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_claimed_at_idx ON kb.inbox USING brin (claimed_at);
COMMENT ON TABLE kb.inbox IS 'Events whose effect is committed: the claim and the effect share one transaction, so a failure leaves no claim.';

CREATE TABLE kb.outbox (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    headers    JSONB NOT NULL,
    body       BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE kb.outbox IS 'Events of applied changes, written with the change, deleted once the broker confirmed them.';

CREATE TABLE kb.queues (
    name       TEXT PRIMARY KEY,
    expires_at TIMESTAMPTZ
);
COMMENT ON COLUMN kb.queues.expires_at IS 'A live view''s queue goes away when nobody renews it; NULL = durable.';
CREATE TABLE kb.queue_bindings (
    queue   TEXT NOT NULL REFERENCES kb.queues ON DELETE CASCADE,
    pattern TEXT NOT NULL,
    regex   TEXT NOT NULL,
    PRIMARY KEY (queue, pattern)
);
COMMENT ON COLUMN kb.queue_bindings.regex IS 'The topic pattern as a regular expression over the routing key.';
CREATE TABLE kb.queue_messages (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue        TEXT NOT NULL REFERENCES kb.queues ON DELETE CASCADE,
    headers      JSONB NOT NULL,
    body         BYTEA NOT NULL,
    attempt      INT NOT NULL DEFAULT 1,
    deliveries   INT NOT NULL DEFAULT 0,
    available_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    lease        UUID,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX queue_messages_take_idx ON kb.queue_messages (queue, available_at, id);
COMMENT ON TABLE kb.queue_messages IS 'Messages waiting in a queue of the embedded broker, or in the spool while RabbitMQ is away.';
COMMENT ON COLUMN kb.queue_messages.available_at IS 'When it may be taken: a retry sets its delay, a taker sets the end of its lease.';
COMMENT ON COLUMN kb.queue_messages.lease IS 'Who has it until available_at; a taker that died simply lets it run out.';
COMMENT ON COLUMN kb.queue_messages.attempt IS 'Tries that ended in a failure of this message, plus one.';
COMMENT ON COLUMN kb.queue_messages.deliveries IS 'Times it was handed out since its last attempt ended.';

-- The delivery log. By day, so that retention drops a partition instead of deleting rows.
CREATE TABLE kb.journal (
    received_at    TIMESTAMPTZ NOT NULL,
    event_id       UUID NOT NULL,
    integration_id UUID NOT NULL,
    type           TEXT NOT NULL,
    subject        TEXT,
    traceparent    TEXT,
    headers        JSONB NOT NULL,
    body           BYTEA NOT NULL,
    journaled_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (received_at, event_id)
) PARTITION BY RANGE (received_at);
CREATE INDEX journal_integration_idx ON kb.journal (integration_id, received_at DESC);
CREATE INDEX journal_event_idx ON kb.journal (event_id);
COMMENT ON TABLE kb.journal IS 'Every delivery that was accepted, as received: one row a delivery, so a re-sent event has several.';
-- Catches what no daily partition covers yet, so that a late housekeeper never loses an event.
CREATE TABLE kb.journal_default PARTITION OF kb.journal DEFAULT;

-- The journal's own role may not create or drop tables, so it asks these two.
CREATE FUNCTION kb.journal_keep_ahead(days INT) RETURNS INT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first_day CONSTANT DATE := (now() AT TIME ZONE 'UTC')::date;
    day DATE;
    name TEXT;
    made INT := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('kb.journal'));
    FOR offset_days IN 0..days LOOP
        day := first_day + offset_days;
        name := 'journal_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('kb.' || name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE kb.%I PARTITION OF kb.journal FOR VALUES FROM (%L) TO (%L)',
                    name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
                made := made + 1;
            EXCEPTION WHEN check_violation THEN
                RAISE NOTICE 'kb.journal_default already holds rows of %, which stay there', day;
            END;
        END IF;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION kb.journal_keep_ahead IS 'Makes the daily partitions from today to today + days; returns how many were new.';

CREATE FUNCTION kb.journal_forget(keep_days INT) RETURNS INT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    oldest CONSTANT TEXT := to_char((now() AT TIME ZONE 'UTC')::date - keep_days, 'YYYYMMDD');
    name TEXT;
    dropped INT := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('kb.journal'));
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'kb.journal'::regclass AND c.relname ~ '^journal_[0-9]{8}$'
          AND substr(c.relname, 9) < oldest
    LOOP
        EXECUTE format('DROP TABLE kb.%I', name);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM kb.journal_default WHERE received_at < now() - make_interval(days => keep_days);
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION kb.journal_forget IS 'Drops the partitions older than keep_days; returns how many.';

SELECT kb.journal_keep_ahead(7);
