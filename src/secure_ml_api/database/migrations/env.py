"""What Alembic runs around the steps: the connection is handed in, in a transaction that the caller commits."""

from alembic import context

from secure_ml_api.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
