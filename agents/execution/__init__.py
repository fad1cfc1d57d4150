"""The Execution agent: forecasts volume and range, prices the trade, and plans its slices."""
