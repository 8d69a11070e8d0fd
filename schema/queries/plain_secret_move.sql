-- One of those, as it was read ($2), moves to where secrets rest sealed: as $5 under the id $3, of a hook called $4.
-- An empty one only goes.
WITH taken AS (
    UPDATE kb.integrations SET webhook_secret = NULL WHERE id = $1 AND webhook_secret = $2
    RETURNING id
)
INSERT INTO kb.webhook_secrets (id, integration_id, webhook_id, secret_sealed)
SELECT $3, id, $4, $5 FROM taken WHERE $2 <> ''
