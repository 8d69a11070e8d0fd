-- Whether it is this transaction's turn to relay: one at a time keeps the order, and whoever is free goes on.
-- And the newest id that anybody took so far.
SELECT pg_try_advisory_xact_lock(hashtext('kb.outbox')) AS mine, pg_sequence_last_value('kb.outbox_id_seq') AS newest
