"""Measures servers that share a Redis and a PostgreSQL behind nginx: ``python -m loadtests.scaling``."""
