-- What webhook_secrets.sql would say of all integrations, as one mark for each shelf: those whose ids end in one octet.
-- Of these shelves ($1) a mark for each integration.
SELECT shelf, CASE WHEN shelf = ANY($1::int[]) THEN id END AS id, bit_xor(mark) AS mark
FROM (
    SELECT i.id, get_byte(uuid_send(i.id), 15) AS shelf,
        hash_record_extended(ROW(i.id, i.name, i.enabled, s.id, s.webhook_id, s.secret_sealed, s.expires_at), 0) AS mark
    FROM kb.integrations i LEFT JOIN kb.webhook_secrets s ON s.integration_id = i.id
) AS found
GROUP BY 1, 2
