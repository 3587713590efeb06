"""What the workers of one machine share while they run: one LMDB file under ``run/``."""
