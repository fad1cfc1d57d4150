"""One BentoML service per agent."""
