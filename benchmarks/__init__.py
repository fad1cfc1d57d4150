"""Timings beside a peer or a limit, measured alternately in one run."""

import orchestration  # noqa: F401 - arithmetic on one thread, as in the product; peers' too
