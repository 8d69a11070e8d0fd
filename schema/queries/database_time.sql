-- The database's time, by which looks at a source are ordered.
SELECT clock_timestamp() AS now
