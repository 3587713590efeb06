"""Bytes ↔ arrays: what the protocols have in common is in ``question``, each protocol is one file."""
