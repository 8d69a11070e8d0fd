-- Claims older than any redelivery can be.
DELETE FROM kb.inbox WHERE claimed_at < now() - make_interval(days => $1::int)
