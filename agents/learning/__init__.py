"""How the agents learn: samples, one training loop, and what each of the four is trained for."""
