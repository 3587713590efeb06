"""Who is asking: clients, the keys that sign, the tokens, and what still stands."""
