UPDATE kb.integrations SET enabled = $2 WHERE id = $1
