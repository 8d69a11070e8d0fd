-- Take claims back: the consumer will apply these events anew when it meets them again.
DELETE FROM kb.inbox WHERE consumer = $1 AND event_id = ANY($2::uuid[])
