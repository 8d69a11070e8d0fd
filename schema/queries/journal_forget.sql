SELECT kb.journal_forget($1) AS dropped
