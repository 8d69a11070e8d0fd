-- A success ends a row of failures; where there was none, nothing is written, so this row is no hot spot.
UPDATE kb.clickup_sync_state SET consecutive_failures = 0
WHERE integration_id = ANY($1::uuid[]) AND consecutive_failures > 0
