-- Held by the session: released when it ends, however it ends.
SELECT pg_advisory_lock(hashtext('kb-ingest migrate'))
