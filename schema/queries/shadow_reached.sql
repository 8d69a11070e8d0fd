-- Where the build $1 stands: $2 checkpoint and $3 covered types if they are new, $4 all is read. No row: it was discarded.
UPDATE kb_shadow.builds SET
    checkpoint = coalesce($2::jsonb, checkpoint), covers = coalesce($3::text[], covers),
    finished_at = CASE WHEN $4 THEN clock_timestamp() END
WHERE id = $1
RETURNING id
