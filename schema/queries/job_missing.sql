-- Living objects of the types $3 that a job over the integration $2 did not meet, containers first, $4 at most. What is
-- younger than the job may have come after its kind was listed.
SELECT o.external_type, o.external_id
FROM kb.objects o JOIN kb.jobs j ON j.id = $1
WHERE o.integration_id = $2 AND o.external_type = ANY($3::text[]) AND o.deleted_at IS NULL
  AND o.created_at < j.started_at
  AND NOT EXISTS (SELECT FROM kb.job_seen s WHERE s.job_id = $1 AND s.object_id = o.id)
ORDER BY array_position($3::text[], o.external_type), o.external_id
LIMIT $4
