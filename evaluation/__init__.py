"""Whether it was any good: performance, calibration, tests with error rates, reports."""
