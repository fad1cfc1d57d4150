"""Manual review for persons: the desk, its HTTP API, its command line's side, its announcements."""
