"""Dagster definitions, the `quorum` command line, and what starts what."""

import os

# Arithmetic on one thread: its sums then have one order, whatever machine it runs on, and
# processes that share cores don't wait for each other's threads. NumPy's and PyTorch's libraries
# read this once, when they are loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
