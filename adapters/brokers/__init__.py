"""Venues outside this process: a stock broker and exchanges."""
