-- In whose name this transaction is: = and an organisation ($1), = and a project ($2); * is all of them.
SELECT set_config('kb.org', $1, true), set_config('kb.project', $2, true)
