-- Objects by type, living and deleted.
SELECT external_type, count(*) FILTER (WHERE deleted_at IS NULL) AS living,
    count(*) FILTER (WHERE deleted_at IS NOT NULL) AS deleted
FROM kb.objects GROUP BY external_type
