-- Settings sealed anew ($3) in place of those that were read ($2); what changed meanwhile stays as it is.
UPDATE kb.integrations i SET settings_encrypted = put.anew
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS put (id, read, anew)
WHERE i.id = put.id AND i.settings_encrypted = put.read
