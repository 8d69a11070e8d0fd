-- Following a whole source: jobs that read it, the rate budget they share, its webhooks' health, and an audit log.

-- ---------------------------------------------------------------------------------------------------------------
-- Jobs: imports, incremental syncs and sweeps.

CREATE TABLE kb.jobs (
    id               UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    integration_id   UUID NOT NULL REFERENCES kb.integrations ON DELETE CASCADE,
    kind             TEXT NOT NULL CHECK (kind IN ('import', 'sync', 'sweep')),
    status           TEXT NOT NULL DEFAULT 'queued'
                     CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    options          JSONB NOT NULL DEFAULT '{}',
    reason           TEXT NOT NULL DEFAULT 'requested',
    requested_by     TEXT,
    phase            TEXT,
    done             INT NOT NULL DEFAULT 0,
    total            INT,
    calls            INT NOT NULL DEFAULT 0,
    breakdown        JSONB NOT NULL DEFAULT '{}',
    error            TEXT,
    cancel_requested BOOLEAN NOT NULL DEFAULT false,
    lease            UUID,
    lease_until      TIMESTAMPTZ,
    starts           INT NOT NULL DEFAULT 0,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    started_at       TIMESTAMPTZ,
    finished_at      TIMESTAMPTZ,
    updated_at       TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX jobs_integration_idx ON kb.jobs (integration_id, created_at DESC);
CREATE UNIQUE INDEX jobs_one_runs_idx ON kb.jobs (integration_id) WHERE status = 'running';
CREATE UNIQUE INDEX jobs_one_is_scheduled_idx ON kb.jobs (integration_id, kind) WHERE status = 'queued' AND reason = 'scheduled';
CREATE INDEX jobs_waiting_idx ON kb.jobs (created_at) WHERE status IN ('queued', 'running');
COMMENT ON TABLE kb.jobs IS 'Work over a whole source. One runs at a time for an integration; whoever holds its lease runs it.';
COMMENT ON COLUMN kb.jobs.kind IS 'import = everything; sync = what changed since the cursor; sweep = everything, and what is gone.';
COMMENT ON COLUMN kb.jobs.reason IS 'Why: requested, scheduled, or the blind window it heals.';
COMMENT ON COLUMN kb.jobs.done IS 'Calls made of those planned; total is the plan, refined on the way.';
COMMENT ON COLUMN kb.jobs.breakdown IS 'By type: written, unchanged, failed, deleted.';
COMMENT ON COLUMN kb.jobs.lease IS 'Who runs it, until lease_until; one that died lets it run out and another goes on from the checkpoint.';
COMMENT ON COLUMN kb.jobs.starts IS 'How often somebody began or resumed it.';

CREATE TABLE kb.job_failures (
    job_id      UUID NOT NULL REFERENCES kb.jobs ON DELETE CASCADE,
    type        TEXT NOT NULL,
    external_id TEXT NOT NULL,
    reason      TEXT NOT NULL,
    raw         JSONB,
    at          TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, type, external_id)
);
COMMENT ON TABLE kb.job_failures IS 'Objects a job could not take over, kept aside with the reason.';
COMMENT ON COLUMN kb.job_failures.raw IS 'What the source said, where that is what could not be understood.';

CREATE TABLE kb.job_seen (
    job_id    UUID NOT NULL REFERENCES kb.jobs ON DELETE CASCADE,
    object_id UUID NOT NULL,
    PRIMARY KEY (job_id, object_id)
);
COMMENT ON TABLE kb.job_seen IS 'What a running job met, to find afterwards what it did not meet. Emptied when the job ends.';

CREATE TABLE kb.missed_changes (
    object_id      UUID NOT NULL,
    version        BIGINT NOT NULL,
    integration_id UUID NOT NULL REFERENCES kb.integrations ON DELETE CASCADE,
    external_type  TEXT NOT NULL,
    external_id    TEXT NOT NULL,
    action         TEXT NOT NULL,
    changed_at     TIMESTAMPTZ,
    found_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    job_id         UUID,
    PRIMARY KEY (object_id, version)
);
CREATE INDEX missed_changes_integration_idx ON kb.missed_changes (integration_id, found_at);
COMMENT ON TABLE kb.missed_changes IS 'The gap: changes a sync found that no webhook had brought. One that arrives late takes its row away.';

-- A listing is stronger evidence of life than one read: what ClickUp answers for a trashed container is not documented.
ALTER TABLE kb.objects ADD COLUMN listed_at TIMESTAMPTZ;
COMMENT ON COLUMN kb.objects.listed_at IS 'When a listing of its container showed it, of the look that last wrote this row; NULL = it was read by its id.';

CREATE OR REPLACE FUNCTION kb.lives(stored kb.objects, seen kb.objects) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE stored.deleted_because
        WHEN 'deleted' THEN seen.observed_at > stored.observed_at
            AND (coalesce(seen.external_updated_at > stored.deleted_at, false)
                 -- half a minute, for a listing that lags behind the deletion it was told of
                 OR coalesce(seen.listed_at > stored.deleted_at + interval '30 seconds', false))
        WHEN 'gone' THEN seen.observed_at > stored.observed_at
        WHEN 'cascade' THEN seen.observed_at > stored.observed_at AND NOT EXISTS (
            SELECT FROM kb.objects p
            WHERE p.integration_id = seen.integration_id AND p.external_type = seen.external_parent_type
              AND p.external_id = seen.external_parent_id AND p.deleted_at IS NOT NULL)
        ELSE true END
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- One rate budget a token. Unlogged: after a crash of the server it is learnt anew, and no call waits for a disk.

CREATE UNLOGGED TABLE kb.api_budgets (
    key           TEXT PRIMARY KEY,
    calls         INT,
    counted       INT NOT NULL DEFAULT 0,
    given         INT NOT NULL DEFAULT 0,
    reset_said    BIGINT,
    started_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    resets_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp() + interval '1 minute',
    sliding       BOOLEAN NOT NULL DEFAULT false,
    blocked_until TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
);
COMMENT ON TABLE kb.api_budgets IS 'What each token may call, as its source last said.';
COMMENT ON COLUMN kb.api_budgets.key IS 'Digest of address and token.';
COMMENT ON COLUMN kb.api_budgets.calls IS 'Calls a window (X-RateLimit-Limit); NULL = not said yet, then nobody waits.';
COMMENT ON COLUMN kb.api_budgets.counted IS 'Calls of this window that the source has counted, other users of the token included.';
COMMENT ON COLUMN kb.api_budgets.given IS 'Turns of ours that can have been counted in this window.';
COMMENT ON COLUMN kb.api_budgets.reset_said IS 'X-RateLimit-Reset of the window, which tells answers of an older one.';
COMMENT ON COLUMN kb.api_budgets.sliding IS 'The reset moves on while calls stay counted: no fixed window.';
COMMENT ON COLUMN kb.api_budgets.blocked_until IS 'After a 429.';

CREATE UNLOGGED TABLE kb.api_callers (
    key            TEXT NOT NULL,
    caller         UUID NOT NULL,
    integration_id UUID NOT NULL,
    priority       INT NOT NULL,
    wanted         INT NOT NULL,
    open           INT NOT NULL,
    granted_at     TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    seen_at        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (key, caller)
);
COMMENT ON TABLE kb.api_callers IS 'Who uses a token now: one row for each process, integration and priority. One not seen for a while is dead.';

CREATE FUNCTION kb.api_turns(
    the_key TEXT, me UUID, my_integration UUID, my_priority INT, my_wanted INT, my_open INT,
    answers INT, said_calls INT, said_remaining INT, said_reset BIGINT, resets_in FLOAT, blocked_for FLOAT,
    OUT granted INT, OUT wait_seconds FLOAT)
LANGUAGE plpgsql AS $$
DECLARE
    patience CONSTANT INTERVAL := '3 seconds';  -- one that waits asks again within half a second
    lifetime CONSTANT INTERVAL := '15 seconds'; -- longer than any call takes: what a dead process held is free again
    guard CONSTANT FLOAT := 0.25; -- seconds to stay behind the source's own clock, whose reset is in whole seconds
    t TIMESTAMPTZ;
    b kb.api_budgets;
    opened INT;
    was_sliding BOOLEAN;
    head FLOAT;
    span FLOAT;
    cap INT;
    used INT;
    free INT;
    ours INT;
BEGIN
    INSERT INTO kb.api_budgets (key) VALUES (the_key) ON CONFLICT DO NOTHING;
    SELECT * INTO b FROM kb.api_budgets WHERE key = the_key FOR UPDATE;
    t := clock_timestamp();

    -- 1. who is here
    DELETE FROM kb.api_callers WHERE key = the_key AND seen_at < t - lifetime;
    INSERT INTO kb.api_callers AS c (key, caller, integration_id, priority, wanted, open, seen_at)
    VALUES (the_key, me, my_integration, my_priority, my_wanted, my_open, t)
    ON CONFLICT (key, caller) DO UPDATE SET wanted = EXCLUDED.wanted, open = EXCLUDED.open, seen_at = EXCLUDED.seen_at;
    SELECT coalesce(sum(c.open), 0) INTO opened FROM kb.api_callers c WHERE c.key = the_key;

    -- 2. what the source said
    IF t >= b.resets_at THEN
        IF b.sliding THEN -- let one call ask
            b.counted := least(b.counted, b.calls - greatest(1, b.calls / 50) - opened - 1);
            b.resets_at := t + make_interval(secs => 60.0 / b.calls);
        ELSE
            b.counted := 0;
            b.given := opened;
            b.started_at := t;
            b.resets_at := t + interval '1 minute';
        END IF;
    END IF;
    IF said_calls IS NULL THEN
        b.counted := b.counted + answers;
    ELSE
        b.calls := greatest(said_calls, 1);
        used := said_calls - said_remaining;
        IF b.reset_said IS NULL OR said_reset > b.reset_said + 1 OR said_reset < b.reset_said - 120 THEN -- a new window
            IF t < b.resets_at AND b.given > opened + answers THEN
                b.given := opened + answers; -- it began before we thought it would
            END IF;
            was_sliding := b.sliding;
            -- a window that begins with more calls than we made is none
            b.sliding := b.reset_said IS NOT NULL
                AND used > b.calls / 4 + CASE WHEN b.sliding THEN 0 ELSE 2 * (b.given + answers) END;
            b.counted := used;
            b.started_at := CASE WHEN b.sliding THEN t - interval '1 hour' WHEN was_sliding THEN t
                                 ELSE greatest(b.started_at, t - interval '1 second') END;
            b.resets_at := t + make_interval(secs =>
                CASE WHEN b.sliding THEN least(resets_in, 60.0 / b.calls) ELSE resets_in + guard END);
            b.reset_said := said_reset;
        ELSIF said_reset >= b.reset_said - 1 THEN -- else it is a late answer of the window before
            b.counted := greatest(b.counted, used);
            b.resets_at := least(b.resets_at, t + make_interval(secs => resets_in + guard));
        END IF;
    END IF;
    IF blocked_for IS NOT NULL THEN
        b.blocked_until := greatest(b.blocked_until, t + make_interval(secs => blocked_for + guard));
    END IF;

    -- 3. how much is free for me
    granted := 0;
    wait_seconds := 0.5;
    IF t >= b.blocked_until AND my_wanted > 0 THEN
        IF b.calls IS NULL THEN
            granted := my_wanted;
        ELSE
            used := b.counted + opened;
            -- webhooks may use everything at once; syncs and imports begin with a part and earn the rest evenly, and
            -- leave a little to webhooks until just before the window ends
            head := CASE my_priority WHEN 0 THEN 1.0 WHEN 1 THEN 0.75 ELSE 0.5 END;
            span := greatest(extract(epoch FROM b.resets_at - b.started_at), 0.001);
            cap := b.calls - CASE WHEN my_priority > 0 AND (b.sliding OR b.resets_at - t > interval '1 second')
                THEN greatest(1, b.calls / 50) ELSE 0 END;
            free := least(cap, floor(b.calls * (head + (1 - head) * least(extract(epoch FROM t - b.started_at) / span, 1)))) - used;
            SELECT free - coalesce(sum(c.wanted), 0) INTO free FROM kb.api_callers c
            WHERE c.key = the_key AND c.priority < my_priority AND c.seen_at > t - patience;
            IF free > 0 THEN -- equal parts for the integrations that wait, and for the processes of each; the odd ones in turn
                SELECT free / r.n + (r.place <= free % r.n)::int INTO ours
                FROM (SELECT c.integration_id, count(*) OVER () AS n,
                             row_number() OVER (ORDER BY max(c.granted_at), c.integration_id) AS place
                      FROM kb.api_callers c
                      WHERE c.key = the_key AND c.priority = my_priority AND c.wanted > 0 AND c.seen_at > t - patience
                      GROUP BY c.integration_id) r
                WHERE r.integration_id = my_integration;
                SELECT least(my_wanted, ours / r.n + (r.place <= ours % r.n)::int) INTO granted
                FROM (SELECT c.caller, count(*) OVER () AS n, row_number() OVER (ORDER BY c.granted_at, c.caller) AS place
                      FROM kb.api_callers c
                      WHERE c.key = the_key AND c.priority = my_priority AND c.wanted > 0 AND c.seen_at > t - patience
                        AND c.integration_id = my_integration) r
                WHERE r.caller = me;
            END IF;
            wait_seconds := CASE WHEN used >= cap THEN extract(epoch FROM b.resets_at - t)
                                 ELSE (1 - head) * span / b.calls END;
        END IF;
    ELSIF t < b.blocked_until THEN
        wait_seconds := extract(epoch FROM b.blocked_until - t);
    END IF;
    wait_seconds := least(greatest(wait_seconds, 0.02), 0.25);

    -- 4. remember
    IF granted > 0 THEN
        b.given := b.given + granted;
        UPDATE kb.api_callers SET wanted = wanted - granted, open = open + granted, granted_at = t
        WHERE key = the_key AND caller = me;
    END IF;
    UPDATE kb.api_budgets SET calls = b.calls, counted = b.counted, given = b.given, reset_said = b.reset_said, started_at = b.started_at,
        resets_at = b.resets_at, sliding = b.sliding, blocked_until = b.blocked_until
    WHERE key = the_key;
END
$$;
COMMENT ON FUNCTION kb.api_turns IS 'Tell what the source answered, and get turns: how many of those wanted, and when to ask again.';

-- ---------------------------------------------------------------------------------------------------------------
-- Webhooks as the doctor sees them, and who did what.

CREATE TABLE kb.webhooks (
    integration_id UUID PRIMARY KEY REFERENCES kb.integrations ON DELETE CASCADE,
    webhook_id     TEXT,
    endpoint       TEXT,
    hears          TEXT[] NOT NULL DEFAULT '{}',
    events         TEXT[] NOT NULL DEFAULT '{}',
    chosen         BOOLEAN NOT NULL DEFAULT false,
    address        TEXT,
    owner          TEXT,
    status         TEXT NOT NULL DEFAULT 'unknown',
    fail_count     INT NOT NULL DEFAULT 0,
    problem        TEXT,
    wanted         BOOLEAN NOT NULL DEFAULT true,
    checked_at     TIMESTAMPTZ,
    healthy_at     TIMESTAMPTZ,
    lease          UUID,
    lease_until    TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    due_at         TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX webhooks_due_idx ON kb.webhooks (due_at);
COMMENT ON TABLE kb.webhooks IS 'The one hook each integration should have, as last seen.';
COMMENT ON COLUMN kb.webhooks.hears IS 'The events it is registered for, as ClickUp says; events = what it should hear, once somebody has chosen.';
COMMENT ON COLUMN kb.webhooks.address IS 'Where it should deliver to, once somebody has said so; NULL = PUBLIC_URL.';
COMMENT ON COLUMN kb.webhooks.healthy_at IS 'When it was last seen in order: what came later may be lost.';
COMMENT ON COLUMN kb.webhooks.status IS 'active, failing, suspended as ClickUp says; missing or unknown as we found.';
COMMENT ON COLUMN kb.webhooks.wanted IS 'Whether the doctor keeps a hook: false after `webhook delete`.';
COMMENT ON COLUMN kb.webhooks.lease IS 'Who looks at it, until lease_until. One that is left tells that a look was not finished.';
COMMENT ON COLUMN kb.webhooks.due_at IS 'When to look at it again; whoever takes the lease does.';

CREATE TABLE kb.webhook_health (
    integration_id UUID NOT NULL REFERENCES kb.integrations ON DELETE CASCADE,
    at             TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    webhook_id     TEXT,
    status         TEXT NOT NULL,
    fail_count     INT NOT NULL,
    problem        TEXT,
    PRIMARY KEY (integration_id, at)
);
COMMENT ON TABLE kb.webhook_health IS 'History: a row whenever a hook''s state changed.';

CREATE TABLE kb.audit_log (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    actor          TEXT NOT NULL,
    action         TEXT NOT NULL,
    integration_id UUID,
    outcome        TEXT NOT NULL,
    details        JSONB NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_integration_idx ON kb.audit_log (integration_id, at DESC);
COMMENT ON TABLE kb.audit_log IS 'Who did what to which integration, with what outcome. Programs may only append.';

-- ---------------------------------------------------------------------------------------------------------------
-- Who may.

DO $$
DECLARE
    role_name TEXT;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['kb_imports', 'kb_upkeep'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role_name);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            IF current_setting('server_version_num')::int >= 160000 THEN
                EXECUTE format('GRANT %I TO CURRENT_USER WITH SET TRUE', role_name);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'this user may not create roles: programs will run without their own; see the runbook';
                RETURN;
        END;
    END LOOP;
    IF EXISTS (SELECT FROM unnest(ARRAY['kb_knowledge', 'kb_sync_state', 'kb_journal', 'kb_admin']) AS r (name)
               WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r.name)) THEN
        RETURN;
    END IF;

    GRANT USAGE ON SCHEMA kb TO kb_imports, kb_upkeep;
    GRANT SELECT, INSERT, UPDATE, DELETE ON kb.queues, kb.queue_bindings, kb.queue_messages TO kb_imports, kb_upkeep;
    GRANT SELECT, INSERT, UPDATE, DELETE ON kb.api_budgets, kb.api_callers
        TO kb_knowledge, kb_imports, kb_upkeep, kb_admin;

    -- Imports read the whole source and write what they find.
    GRANT SELECT ON kb.integrations TO kb_imports, kb_upkeep;
    GRANT SELECT, INSERT, UPDATE ON kb.objects, kb.people TO kb_imports;
    GRANT SELECT, INSERT, DELETE ON kb.relationships, kb.outbox TO kb_imports;
    GRANT SELECT, INSERT, DELETE ON kb.inbox TO kb_imports;
    GRANT SELECT, INSERT, UPDATE ON kb.jobs TO kb_imports, kb_upkeep, kb_admin;
    GRANT SELECT, INSERT, UPDATE, DELETE ON kb.job_failures, kb.job_seen TO kb_imports;
    GRANT SELECT, INSERT, UPDATE, DELETE ON kb.missed_changes TO kb_imports;
    GRANT SELECT, DELETE ON kb.missed_changes TO kb_knowledge;
    GRANT SELECT, UPDATE ON kb.clickup_sync_state TO kb_imports, kb_upkeep;

    -- Upkeep looks after the hooks: it may exchange their secrets and ask for jobs.
    GRANT SELECT, INSERT, UPDATE, DELETE ON kb.webhook_secrets TO kb_upkeep;
    GRANT SELECT, INSERT, UPDATE, DELETE ON kb.webhooks TO kb_upkeep, kb_admin;
    GRANT SELECT, INSERT ON kb.webhook_health, kb.audit_log TO kb_upkeep, kb_admin;
    GRANT INSERT ON kb.outbox TO kb_upkeep, kb_admin;
    GRANT SELECT ON kb.outbox, kb.journal TO kb_upkeep;
    GRANT SELECT ON kb.job_failures, kb.missed_changes TO kb_admin, kb_upkeep;

    -- The journal's housekeeper forgets old jobs and gaps along with old events.
    GRANT SELECT, DELETE ON kb.jobs, kb.missed_changes, kb.webhook_health TO kb_journal;
END
$$;
