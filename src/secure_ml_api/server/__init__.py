"""The process: gunicorn with a packaged configuration, and what it needs around it."""
