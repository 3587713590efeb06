"""One kind of caller a file; the file's name is the scenario's, and each defines exactly one ``Caller``."""
