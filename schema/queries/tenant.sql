-- In whose name this transaction is: = and an organisation ($1), = and a project ($2); * is all of them.
-- And plan each statement for its values: people filter, and a plan for any filter reads the whole delivery log.
SELECT set_config('kb.org', $1, true), set_config('kb.project', $2, true),
    set_config('plan_cache_mode', 'force_custom_plan', true)
