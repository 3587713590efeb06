"""Load tests: simulated callers with tokens against a running server, and thresholds that fail the run."""
