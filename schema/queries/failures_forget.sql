DELETE FROM kb.event_failures WHERE last_at < now() - make_interval(days => $1::int)
