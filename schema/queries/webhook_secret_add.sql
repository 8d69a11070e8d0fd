INSERT INTO kb.webhook_secrets (id, integration_id, webhook_id, secret_sealed) VALUES ($1, $2, $3, $4)
