"""Alembic's place: the environment and the steps. They are run by ``database.migrate`` alone."""
