-- Signed out.
DELETE FROM kb.sessions WHERE hash = $1
