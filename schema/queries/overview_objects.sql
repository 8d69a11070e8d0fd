-- Objects by type, living and deleted. Read from two indexes: rows with their bodies are twenty times as much.
SELECT external_type, a.objects - coalesce(d.objects, 0) AS living, coalesce(d.objects, 0) AS deleted
FROM (SELECT external_type, count(*) AS objects FROM kb.objects GROUP BY external_type) AS a
LEFT JOIN (SELECT external_type, count(*) AS objects FROM kb.objects WHERE deleted_at IS NOT NULL GROUP BY external_type)
    AS d USING (external_type)
