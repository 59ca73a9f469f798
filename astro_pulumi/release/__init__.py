"""Releases: what must be true before a deploy touches anything that runs, and the record of it after."""
