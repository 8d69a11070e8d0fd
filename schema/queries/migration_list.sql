SELECT version, checksum FROM kb.migrations ORDER BY version
