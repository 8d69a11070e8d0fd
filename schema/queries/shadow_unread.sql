-- What lives in the knowledge base since before the build, and could neither be read nor proven to be gone, alone or with
-- what it lies in.
SELECT o.external_type, o.external_id FROM kb.objects o JOIN kb_shadow.builds b USING (integration_id)
WHERE o.integration_id = $1 AND o.deleted_at IS NULL AND o.created_at < b.began_at
    AND NOT EXISTS (SELECT FROM kb_shadow.objects s WHERE s.id = o.id)
    AND NOT EXISTS (SELECT FROM kb_shadow.objects s
                    WHERE s.integration_id = $1 AND s.external_type = o.external_parent_type
                      AND s.external_id = o.external_parent_id AND s.because IS NOT NULL)
ORDER BY 1, 2
