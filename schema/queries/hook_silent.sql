-- Whether nothing was delivered since the hook was last looked at, though its secret is older than $2.
SELECT NOT EXISTS (SELECT FROM kb.journal j WHERE j.integration_id = w.integration_id AND j.received_at > w.checked_at)
   AND NOT EXISTS (SELECT FROM kb.webhook_secrets s
                   WHERE s.integration_id = w.integration_id AND s.webhook_id = w.webhook_id
                     AND s.created_at > now() - $2::interval) AS silent
FROM kb.webhooks w WHERE w.integration_id = $1
