"""What a defect is, source by source, as pure functions on frames."""
