-- The oldest events. An object's events are in id order, because its row is locked from its change to the commit.
SELECT id, headers, body FROM kb.outbox ORDER BY id LIMIT $1
