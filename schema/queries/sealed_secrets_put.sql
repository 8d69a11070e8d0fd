-- Secrets sealed anew ($3) in place of those that were read ($2); what changed meanwhile stays as it is.
UPDATE kb.webhook_secrets s SET secret_sealed = put.anew
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS put (id, read, anew)
WHERE s.id = put.id AND s.secret_sealed = put.read
