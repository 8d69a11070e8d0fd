-- One object of the knowledge base.
SELECT id, integration_id, type, external_source, external_type, external_id, external_url, external_parent_type,
    external_parent_id, external_updated_at, title, body, status, labels, properties, version, action, provisional,
    received_at, synced_at, deleted_at, deleted_because, created_at, updated_at
FROM kb.objects WHERE id = $1
