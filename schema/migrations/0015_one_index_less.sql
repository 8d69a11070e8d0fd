-- The newest deliveries are found by the journal's primary key, read backwards: no statement ever used the same columns
-- in an index of their own, which cost every delivery a tenth of its writing and a log of ten million half a gigabyte.

DROP INDEX kb.journal_received_at_idx;
