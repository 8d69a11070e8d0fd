-- A job met these objects; which of them for the first time.
INSERT INTO kb.job_seen (job_id, object_id) SELECT DISTINCT $1::uuid, unnest($2::uuid[]) ON CONFLICT DO NOTHING
RETURNING object_id
