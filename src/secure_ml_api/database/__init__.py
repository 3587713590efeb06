"""What must outlive a restart: clients, revocations and the audit trail, in SQLite or PostgreSQL."""
