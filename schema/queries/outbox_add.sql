-- Events of what this transaction applied.
INSERT INTO kb.outbox (headers, body)
SELECT headers, body FROM unnest($1::jsonb[], $2::bytea[]) WITH ORDINALITY AS e (headers, body, position)
ORDER BY position
