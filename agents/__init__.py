"""The four specialists and how they learn; pure numbers, no network, no database."""
