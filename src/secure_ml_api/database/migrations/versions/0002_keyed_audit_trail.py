"""The audit trail is chained with a key. Lines that were chained without one stay in a table of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit_head", sa.Column("anchor_id", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("audit_head", sa.Column("anchor_hash", sa.String(64), nullable=False, server_default="0" * 64))
    op.add_column("audit_head", sa.Column("seal", sa.String(64), nullable=False, server_default=""))
    connection = op.get_bind()
    if connection.execute(sa.text("SELECT count(*) FROM audit")).scalar_one() == 0:
        return
    connection.execute(sa.text("CREATE TABLE audit_unkeyed AS SELECT * FROM audit"))
    connection.execute(sa.text("DELETE FROM audit"))
    connection.execute(sa.text("UPDATE audit_head SET last_id = 0, hash = :first"), {"first": "0" * 64})
