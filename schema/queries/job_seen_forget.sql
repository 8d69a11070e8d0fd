-- What an ended job had met is of no more use.
DELETE FROM kb.job_seen WHERE job_id = $1
