-- A session was used at $2. Never back: two requests may come in the other order.
UPDATE kb.sessions SET seen_at = $2 WHERE hash = $1 AND seen_at < $2
