"""One BentoML service per agent, on HTTP and on the bus, with the model that is promoted."""
