"""Orders, pre-trade controls, the gateway, the portfolio and the paper venue."""
