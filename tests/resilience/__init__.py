"""Nothing lost: the real programs under a steady load, one fault at a time, and what became of every delivery."""
