-- Sessions that are over at $1, or idle since $2.
DELETE FROM kb.sessions WHERE expires_at <= $1 OR seen_at <= $2
