"""Timings beside a peer or a limit, measured alternately in one run."""
