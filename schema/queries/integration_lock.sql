-- Writers of one integration run side by side ($2 false), but a deletion runs alone ($2 true): what appears below a
-- container while it is being deleted would otherwise be seen by neither. Released with the transaction.
SELECT CASE WHEN $2::boolean
    THEN pg_advisory_xact_lock(hashtextextended($1::text, 0))
    ELSE pg_advisory_xact_lock_shared(hashtextextended($1::text, 0)) END
