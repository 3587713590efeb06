"""Measures the tuning profiles of deploy/gunicorn beside the default settings: ``python -m loadtests.profiles``."""
