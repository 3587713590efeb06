"""The spine that every predict request walks down, and what bounds its work."""
