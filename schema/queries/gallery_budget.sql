-- The rate budget of the token that an integration last called with: calls a minute, and how many are left right now.
SELECT b.calls, CASE WHEN clock_timestamp() >= b.resets_at THEN b.calls ELSE greatest(b.calls - b.counted, 0) END AS spare,
    b.blocked_until > clock_timestamp() AS blocked
FROM kb.api_callers c JOIN kb.api_budgets b USING (key)
WHERE c.integration_id = $1 AND b.calls IS NOT NULL
ORDER BY c.seen_at DESC LIMIT 1
