-- A browser signed in at $4.
INSERT INTO kb.sessions (hash, token_id, principal, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $4, $4, $5)
