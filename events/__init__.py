"""What flows: the envelope, the names, the bus and its two adapters."""
