"""Names of the environment variables that hand a run's client to locust's process: no secret on a command line."""

CLIENT_ID = "LOADTEST_CLIENT_ID"
CLIENT_SECRET = "LOADTEST_CLIENT_SECRET"
