"""Dagster definitions, the `quorum` command line, and what starts what."""
