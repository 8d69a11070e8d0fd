-- One login for each program, with the role that migrations made for it. Run it as the schema's owner, after the first
-- `kb-ingest migrate`; again, it sets the password again. The password comes from the environment (psql 14 or later):
--   LOGINS_PASSWORD=... psql --set ON_ERROR_STOP=1 --file logins.sql DATABASE
\getenv password LOGINS_PASSWORD

CREATE TEMPORARY TABLE logins (login TEXT, role TEXT);
INSERT INTO logins VALUES
    ('kb_ingest_login', 'kb_ingest'),
    ('kb_knowledge_login', 'kb_knowledge'),
    ('kb_sync_state_login', 'kb_sync_state'),
    ('kb_journal_login', 'kb_journal'),
    ('kb_imports_login', 'kb_imports'),
    ('kb_upkeep_login', 'kb_upkeep'),
    ('kb_gallery_login', 'kb_gallery'),
    ('kb_gallery_login', 'kb_upkeep'); -- the gallery tends webhooks under this one

SELECT DISTINCT format('CREATE ROLE %I LOGIN', login) FROM logins
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) \gexec
SELECT DISTINCT format('ALTER ROLE %I PASSWORD %L', login, :'password') FROM logins \gexec
SELECT format('GRANT %I TO %I', role, login) FROM logins \gexec
