INSERT INTO kb.migrations (version, name, checksum) VALUES ($1, $2, $3)
