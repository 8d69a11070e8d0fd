-- Done with: only who still has the lease may say so.
DELETE FROM kb.queue_messages WHERE lease = $1 AND id = ANY($2::bigint[])
