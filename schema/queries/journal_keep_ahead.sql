SELECT kb.journal_keep_ahead($1) AS made
