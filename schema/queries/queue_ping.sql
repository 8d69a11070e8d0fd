-- Whether the queues' tables are there and answer, at a fixed cost.
SELECT EXISTS (SELECT FROM kb.queues) AS any
