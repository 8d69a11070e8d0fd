-- Put a job back for somebody else, under the lease $2: the worker stops.
UPDATE kb.jobs SET lease_until = '-infinity' WHERE id = $1 AND lease = $2 AND status = 'running'
