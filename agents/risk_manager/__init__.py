"""The Risk Manager: forecasts volatility, measures value at risk, and vetoes breaches."""
