-- A try at keeping these integrations in step failed.
UPDATE kb.clickup_sync_state s
SET last_error = f.error, last_error_at = now(), consecutive_failures = s.consecutive_failures + 1
FROM unnest($1::uuid[], $2::text[]) AS f (integration_id, error)
WHERE s.integration_id = f.integration_id
