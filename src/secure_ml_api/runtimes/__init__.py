"""What runs a model: one file per framework, all behind the same protocol, none aware of another."""
