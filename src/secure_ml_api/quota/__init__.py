"""How much each client and each address may ask for: rates, exact counters, requests in flight, and the headers."""
