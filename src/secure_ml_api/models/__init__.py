"""Signed model packages: what they promise, how that is checked, and which version of a model serves."""
