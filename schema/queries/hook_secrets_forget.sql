-- Secrets that ended a day ago are of no more use.
DELETE FROM kb.webhook_secrets WHERE expires_at < now() - interval '1 day'
