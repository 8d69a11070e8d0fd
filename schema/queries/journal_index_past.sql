SELECT kb.journal_index_past() AS indexed
