-- There was no answer: the key is free again.
DELETE FROM kb.idempotency_keys WHERE key = $1
