-- Whether it is this transaction's turn to relay: one at a time keeps the order, and whoever is free goes on.
SELECT pg_try_advisory_xact_lock(hashtext('kb.outbox')) AS mine
