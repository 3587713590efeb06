"""A hardened HTTP API in front of trained models."""

__version__ = "0.1.0"
