"""The Portfolio Optimizer: target weights, and whether a trade moves toward them."""
