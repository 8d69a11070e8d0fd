-- Objects of the types $1 with the external id $2, and the one whose row has the id $3; of integration $4 if given.
WITH wanted AS (
    SELECT o.id FROM kb.integrations i CROSS JOIN unnest($1::text[]) AS t (type)
    JOIN kb.objects o ON o.integration_id = i.id AND o.external_type = t.type AND o.external_id = $2
    UNION SELECT $3::uuid
)
SELECT o.id, o.integration_id, i.display_name AS integration, o.external_type, o.external_id, o.external_url, o.title,
    o.status, o.version, o.action, o.deleted_at, o.deleted_because, o.external_updated_at, o.received_at,
    o.synced_at, o.observed_at, o.created_at, o.caused_by, o.external_parent_type, o.external_parent_id,
    o.provisional, nullif(kb.shown_at(o), o.synced_at) AS stated_at
FROM wanted JOIN kb.objects o USING (id) JOIN kb.integrations i ON i.id = o.integration_id
WHERE $4::uuid IS NULL OR o.integration_id = $4
ORDER BY o.external_type, o.external_id, o.integration_id
LIMIT 20
