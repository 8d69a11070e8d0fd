-- Write amended rows ($1), provisional until they are read. No version and no event: the read that confirms has them.
UPDATE kb.objects o SET
    title = r.title, body = r.body, status = r.status, labels = r.labels, properties = r.properties,
    external_parent_type = r.external_parent_type, external_parent_id = r.external_parent_id,
    provisional = r.provisional, amended_to = r.amended_to, amended_at = statement_timestamp(),
    updated_at = statement_timestamp()
FROM jsonb_to_recordset($1::jsonb) AS r (
    id uuid, title text, body text, status text, labels text[], properties jsonb, external_parent_type text,
    external_parent_id text, provisional jsonb, amended_to timestamptz)
WHERE o.id = r.id
