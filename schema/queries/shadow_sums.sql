-- What a shadow holds, by type.
SELECT external_type AS type, count(record) AS built, count(because) AS gone
FROM kb_shadow.objects WHERE integration_id = $1 GROUP BY 1 ORDER BY 1
