"""The Market Analyst: reads bars and headlines, proposes trades, and votes on them."""
