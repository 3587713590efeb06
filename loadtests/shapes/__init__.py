"""How many callers there are at which second: a file for each shape, all of them pure, and one that tells locust."""
