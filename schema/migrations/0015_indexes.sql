-- Indexes that plans ask for, and one that none did.

-- The newest deliveries are found by the journal's primary key, read backwards: no statement ever used the same columns
-- in an index of their own, which cost every delivery a tenth of its writing and a log of ten million half a gigabyte.
DROP INDEX kb.journal_received_at_idx;

-- Counting by type reads the unique key alone, and the tombstones here; what lives has no entry and pays nothing.
CREATE INDEX objects_tombstones_idx ON kb.objects (integration_id, external_type) WHERE deleted_at IS NOT NULL;
