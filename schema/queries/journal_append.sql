-- The delivery log. A redelivery by the broker is the same row, a delivery sent again by the source is another.
INSERT INTO kb.journal (received_at, event_id, integration_id, type, subject, traceparent, headers, body)
SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::jsonb[],
    $8::bytea[])
ON CONFLICT DO NOTHING
