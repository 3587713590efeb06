"""The servers that are compared, one folder each: how it is started, asked and read, and its own application file."""
