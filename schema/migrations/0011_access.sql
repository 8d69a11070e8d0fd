-- Who may ask the gallery: API tokens, and the sessions of its page. Neither rests here in the clear.

CREATE TABLE kb.api_tokens (
    id           UUID PRIMARY KEY,
    name         TEXT NOT NULL,
    hash         BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    scopes       TEXT[] NOT NULL,
    org_id       TEXT,
    project_id   UUID,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_by   TEXT NOT NULL,
    expires_at   TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ
);
COMMENT ON TABLE kb.api_tokens IS 'API tokens. The token itself is shown once, when it is made, and kept nowhere.';
COMMENT ON COLUMN kb.api_tokens.hash IS 'SHA-256 of the token. A token is 256 random bits, which nobody can guess, so no slow hash is needed.';
COMMENT ON COLUMN kb.api_tokens.scopes IS 'What it allows.';
COMMENT ON COLUMN kb.api_tokens.org_id IS 'Only what this organisation owns; NULL = not restricted.';
COMMENT ON COLUMN kb.api_tokens.project_id IS 'Only this project; NULL = not restricted.';
COMMENT ON COLUMN kb.api_tokens.last_used_at IS 'When it was last good; written at most once a minute.';

CREATE TABLE kb.sessions (
    hash       BYTEA PRIMARY KEY,
    token_id   UUID REFERENCES kb.api_tokens ON DELETE CASCADE,
    principal  JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    seen_at    TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX sessions_token_idx ON kb.sessions (token_id);
CREATE INDEX sessions_expires_at_idx ON kb.sessions (expires_at);
COMMENT ON TABLE kb.sessions IS 'Browsers that are signed in to the gallery.';
COMMENT ON COLUMN kb.sessions.hash IS 'SHA-256 of the cookie, which is 256 random bits.';
COMMENT ON COLUMN kb.sessions.token_id IS 'The API token it began with: revoked or expired, it ends the session.';
COMMENT ON COLUMN kb.sessions.principal IS 'Who it was, where no token says so.';
COMMENT ON COLUMN kb.sessions.seen_at IS 'When it was last used; written at most once a minute.';

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kb_gallery') THEN
        BEGIN
            CREATE ROLE kb_gallery NOLOGIN;
            IF current_setting('server_version_num')::int >= 160000 THEN
                EXECUTE 'GRANT kb_gallery TO CURRENT_USER WITH SET TRUE'; -- older servers do not know the words
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'this user may not create roles: programs will run without their own; see the runbook';
        END;
    END IF;

    -- The gallery recognises tokens and keeps sessions; it can make no token and bring none back.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'kb_gallery') THEN
        GRANT USAGE ON SCHEMA kb TO kb_gallery;
        GRANT SELECT, UPDATE (last_used_at) ON kb.api_tokens TO kb_gallery;
        GRANT SELECT, INSERT, UPDATE, DELETE ON kb.sessions TO kb_gallery;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'kb_admin') THEN
        GRANT SELECT, INSERT, UPDATE ON kb.api_tokens TO kb_admin;
    END IF;
END
$$;
