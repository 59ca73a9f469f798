"""Generators of files in this repository: the schema and pages of the documentation."""
