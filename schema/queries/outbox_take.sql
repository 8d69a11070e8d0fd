-- The oldest events after $2. An object's events are in id order, because its row is locked from its change to the commit.
SELECT id, headers, body FROM kb.outbox WHERE id > $2 ORDER BY id LIMIT $1
