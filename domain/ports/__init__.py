"""What Quorum asks of the outside, as protocols; `adapters` answers them."""
