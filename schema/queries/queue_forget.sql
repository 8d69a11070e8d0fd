-- What waits of an integration that is removed, in whatever queue: retries, dead letters and the spool, too.
DELETE FROM kb.queue_messages WHERE headers ->> 'cloudEvents_integrationid' = $1::text
