"""Micro-benchmarks; see README.md."""
