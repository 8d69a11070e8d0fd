DELETE FROM kb.outbox WHERE id = ANY($1::bigint[])
