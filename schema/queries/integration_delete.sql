DELETE FROM kb.integrations WHERE id = $1
