-- An integration to be changed: nobody else changes it until the transaction ends.
SELECT * FROM kb.integrations WHERE id = $1 FOR UPDATE
