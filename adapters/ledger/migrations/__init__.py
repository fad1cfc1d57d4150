"""The record's schema, step by step; `adapters.ledger.migrate` runs them."""
