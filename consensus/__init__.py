"""The voting rule, the engine, the decision log and the service that runs them."""
