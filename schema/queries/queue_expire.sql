-- Queues of live views that nobody renewed, with their messages.
DELETE FROM kb.queues WHERE expires_at < now()
